"""Check of an installation: what it consists of, what it would use and why. For people and bug reports."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from revisage.errors import CheckpointError, RevisageError

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "torch", "av")


def examine(device: str = "auto", dtype: str = "auto") -> tuple[list[tuple[str, str]], list[str]]:
    """Examine the installation, for a device and a number format as for ``revisage.load``.

    Returns (facts as pairs of label and value; faults that keep revisage from working, one line each).
    """
    from revisage import __version__

    facts = [("revisage", __version__), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    facts += [(package, _version(package)) for package in PACKAGES]
    faults: list[str] = []
    for look in (lambda: _device_facts(device, dtype), _model_facts):
        try:
            found, wrong = look()
        except (RevisageError, ImportError) as error:
            found, wrong = [], [_one_line(error)]
        facts, faults = facts + found, faults + wrong
    return facts, faults


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device_facts(device: str, dtype: str) -> tuple[list[tuple[str, str]], list[str]]:
    from revisage.models.device import choose_device, devices, fast_formats
    from revisage.process import thread_count

    has_torch = find_spec("torch") is not None
    by_torch = ", ".join(devices("torch")) if has_torch else "torch is not installed"
    facts = [("devices of onnxruntime", ", ".join(devices("onnxruntime"))), ("devices of torch", by_torch)]
    facts.append(("threads", str(thread_count() or "chosen by the runtime")))
    try:
        config = choose_device(device, dtype, "onnxruntime")
    except RevisageError:
        if not has_torch:
            raise
        config = choose_device(device, dtype, "torch")
    fast = ", ".join(fast_formats(config.kind)) or "no faster format on this device"
    facts.append(("--fast", f"{fast}, where torch runs a network and it keeps 45 dB; else as it is"))
    return [*facts, ("device", config.device), ("dtype", config.dtype), ("because", config.reason)], []


def _model_facts() -> tuple[list[tuple[str, str]], list[str]]:
    """Open every model that is here: only then are its weights known to be whole. Absent ones are no fault."""
    from revisage.models.fetch import cache_folder, path_of, present
    from revisage.models.registry import MODELS

    facts: list[tuple[str, str]] = []
    faults: list[str] = []
    embedded = [name for name, spec in MODELS.items() if not spec.urls]
    for name in dict.fromkeys([*embedded, *present()]):
        try:
            facts.append((name, f"{_verify(name)}, {path_of(name)}"))
        except RevisageError as error:
            faults.append(_one_line(error))
    absent = [name for name in MODELS if name not in present()]
    return [*facts, ("cache", str(cache_folder())), ("not downloaded", ", ".join(absent) or "nothing")], faults


def _verify(name: str) -> str:
    """Description of a model's file (WeightsError: it is damaged, or not the published one)."""
    from revisage.models.architectures import ARCHITECTURES
    from revisage.models.backends import open_network
    from revisage.models.download import sha256_of
    from revisage.models.fetch import weight_file
    from revisage.models.registry import MODELS

    spec, path = MODELS[name], weight_file(name, offline=True)
    if spec.sha256 and sha256_of(path) != spec.sha256:
        raise CheckpointError(f"{path} is not the published file of {name}: its SHA-256 differs")
    if path.suffix == ".onnx":
        open_network(path, "cpu")
    elif spec.architecture in ARCHITECTURES and find_spec("torch") is not None:
        from revisage.models.build import build

        build(path, spec.architecture)
    return f"{spec.architecture}, {path.stat().st_size / 1e6:.1f} MB, {spec.parameters / 1e6:.2f} million parameters"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
