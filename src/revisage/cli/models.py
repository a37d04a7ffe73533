"""``revisage models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revisage.cli.json_output import Json, print_json


def models(
    files: Annotated[list[Path] | None, typer.Argument(help="Model files to describe, instead of the list.")] = None,
    json: Json = False,
) -> None:
    """List named models, or describe model files. The list says which are on this machine."""
    for path in files or ():
        _describe(path, json)
    if not files:
        _list(json)


def _describe(path: Path, json: bool) -> None:
    from json import dumps

    from revisage.models.describe_file import describe_file

    entries = describe_file(path)
    if json:
        print_json({"path": path} | entries)
        return
    print(path)
    for name, value in entries.items():
        print(f"  {name:<14}{value if isinstance(value, str) else dumps(value)}")


def _list(json: bool) -> None:
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
