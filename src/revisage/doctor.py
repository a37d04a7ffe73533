"""What this installation consists of and what it would use, for people and bug reports."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from revisage.errors import RevisageError

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
            facts += look()
        except (RevisageError, ImportError) as error:
            faults.append(" ".join(str(error).split()))
    return facts, faults


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed under this name"


def _device_facts(device: str, dtype: str) -> list[tuple[str, str]]:
    import torch

    from revisage.device import choose, devices

    seen = [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())] + [
        kind for kind in devices() if kind != "cuda"
    ]
    choice = choose(device, dtype)
    return [
        ("devices", ", ".join(seen)),
        ("threads", f"{torch.get_num_threads()} of this process on the CPU"),
        ("device", str(choice.device)),
        ("dtype", str(choice.dtype).removeprefix("torch.")),
        ("because", choice.reason),
    ]


def _weight_facts() -> list[tuple[str, str]]:
    """Build every model: only then are its weights known to be whole."""
    from revisage.zoo import MODELS, build, weight_file

    facts: list[tuple[str, str]] = []
    for name in MODELS:
        path = weight_file(name)
        network, _ = build(path)
        count = sum(parameter.numel() for parameter in network.parameters())
        size = f"{path.stat().st_size / 1e6:.1f} MB, {count / 1e6:.2f} million parameters"
        facts.append((name, f"{type(network).__name__}, {size}, {path}"))
    return facts
