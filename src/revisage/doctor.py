"""What this installation consists of and what it would use, for people and bug reports."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from revisage.errors import CheckpointError, RevisageError

PACKAGES = ("torch", "numpy", "opencv-python-headless", "pillow")


def examine(device: str = "auto", dtype: str = "auto") -> tuple[list[tuple[str, str]], list[str]]:
    """Look at the installation.

    Args:
        device: as for ``revisage.load``.
        dtype: likewise.

    Returns:
        (facts as pairs of label and value; faults that keep revisage from working, one line each)
    """
    from revisage import __version__

    facts = [("revisage", __version__), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    facts += [(package, _version(package)) for package in PACKAGES]
    faults: list[str] = []
    for look in (lambda: _device_facts(device, dtype), _weight_facts):
        try:
            seen, wrong = look()
        except (RevisageError, ImportError) as error:
            seen, wrong = [], [_one_line(error)]
        facts, faults = facts + seen, faults + wrong
    return facts, faults


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed under this name"


def _device_facts(device: str, dtype: str) -> tuple[list[tuple[str, str]], list[str]]:
    import torch

    from revisage.models.device import choose, devices

    seen = [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())] + [
        kind for kind in devices("torch") if kind != "cuda"
    ]
    choice = choose(device, dtype)
    facts = [
        ("devices", ", ".join(seen)),
        ("threads", f"{torch.get_num_threads()} of this process on the CPU"),
        ("device", str(choice.device)),
        ("dtype", str(choice.dtype).removeprefix("torch.")),
        ("because", choice.reason),
    ]
    return facts, []


def _weight_facts() -> tuple[list[tuple[str, str]], list[str]]:
    """Build every model that is here: only then are its weights known to be whole. The others are no fault."""
    from revisage.models.fetch import cache_folder, path_of, present
    from revisage.models.registry import MODELS

    facts: list[tuple[str, str]] = []
    faults: list[str] = []
    embedded = [name for name, spec in MODELS.items() if not spec.urls]
    for name in dict.fromkeys([*embedded, *present()]):
        try:
            facts.append((name, f"{_proven(name)}, {path_of(name)}"))
        except RevisageError as error:
            faults.append(_one_line(error))
    absent = [name for name in MODELS if name not in present()]
    return [*facts, ("cache", str(cache_folder())), ("not downloaded", ", ".join(absent) or "nothing")], faults


def _proven(name: str) -> str:
    """What a model's file holds.

    Raises:
        WeightsError: it is not whole, or not the published one.
    """
    from revisage.models.architectures import ARCHITECTURES
    from revisage.models.build import build
    from revisage.models.download import sha256_of
    from revisage.models.fetch import weight_file
    from revisage.models.registry import MODELS

    spec, path = MODELS[name], weight_file(name, offline=True)
    if spec.sha256 and sha256_of(path) != spec.sha256:
        raise CheckpointError(f"{path} is not the published file of {name}: its SHA-256 differs")
    count = spec.parameters
    if spec.architecture in ARCHITECTURES:
        network, _ = build(path, spec.architecture)
        count = sum(parameter.numel() for parameter in network.parameters())
    return f"{spec.architecture}, {path.stat().st_size / 1e6:.1f} MB, {count / 1e6:.2f} million parameters"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
