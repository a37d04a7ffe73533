"""``revisage models``."""

from __future__ import annotations

from revisage.cli.json_output import Json, print_json


def models(json: Json = False) -> None:
    """List the named models, and which of them are on this machine."""
    from dataclasses import asdict

    from revisage.models.fetch import cache_folder, path_of
    from revisage.models.registry import MODELS

    width = max(map(len, MODELS)) + 2
    for name, spec in MODELS.items():
        path = path_of(name)
        here = path.is_file()
        size = path.stat().st_size if here else spec.size
        if json:
            print_json({"name": name, "role": spec.role, "present": here, "path": path} | asdict(spec) | {"size": size})
            continue
        told = f"{size / 1e6:.1f} MB" if size else "size unknown"
        state = "present" if here else "absent"
        print(f"{name:<{width}}{state:<9}{told:>12}  {spec.architecture}, {spec.parameters / 1e6:.1f} M parameters")
        print(f"{'':<{width}}{spec.description}")
        license = spec.license
        print(f"{'':<{width}}code {license.code} | weights {license.weights} | trained on {license.data}")
    if not json:
        print(f"\n`revisage fetch NAME` downloads what is absent into {cache_folder()}")
