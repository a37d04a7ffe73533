"""Where networks run and in which number format, and why: plain names, no runtime is imported before it is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from revisage.errors import DeviceError, did_you_mean

Backend = Literal["onnxruntime", "torch"]
DTYPES = ("float32", "bfloat16", "float16")
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Device names and the execution providers of onnxruntime that they stand for."""
_ON_REQUEST = ("tensorrt",)
"""Never chosen by "auto": it compiles each network for minutes."""
INSTALL_TORCH = 'pip install "revisage[torch]"'


@dataclass(frozen=True)
class DeviceConfig:
    """A backend, one of its devices and a number format.

    Attributes:
        backend: "onnxruntime" or "torch".
        device: "cpu", "cuda", "cuda:1", "directml", "coreml", "openvino", "tensorrt" (onnxruntime); "cpu", "cuda",
            "cuda:1", "xpu", "mps" (torch).
        dtype: number format of the convolutions, one of ``DTYPES``; inputs and outputs are float32.
        reason: why these, one line.
    """

    backend: Backend
    device: str
    dtype: str
    reason: str

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]


def choose_device(device: str = "auto", dtype: str = "auto", backend: Backend = "onnxruntime") -> DeviceConfig:
    """Choose a device and a number format: "auto", or names as in :class:`DeviceConfig` and ``DTYPES``.

    "auto" takes the first device of :func:`devices`. On a CPU it takes float32, because then every machine gives the
    same image; on an accelerator of torch float16, where images that overflow run again in float32. onnxruntime runs a
    network in the format of its file. DeviceError: this machine or this installation does not have it.
    """
    if dtype != "auto" and dtype not in DTYPES:
        meant = {"fp16": "float16", "half": "float16", "bf16": "bfloat16", "fp32": "float32", "float": "float32"}
        raise DeviceError(f"unknown dtype {dtype!r}{did_you_mean(dtype, DTYPES, meant)}; known: {', '.join(DTYPES)}")
    if backend == "onnxruntime" and dtype not in ("auto", "float32"):
        raise DeviceError(f"onnxruntime computes in float32; {dtype} needs torch: {INSTALL_TORCH}")
    present = devices(backend)
    if device == "auto":
        name = next(kind for kind in present if kind not in _ON_REQUEST)
        why = f"{name}: first of {', '.join(present)}" if len(present) > 1 else "cpu: no accelerator found"
    else:
        name, why = device, f"{device}: requested"
        _check_device(device, present, backend)
    half = backend == "torch" and not name.startswith("cpu")
    chosen = ("float16" if half else "float32") if dtype == "auto" else dtype
    told = "fast, and what overflows in float32" if half else "exact, the same on every machine"
    why += f"; {chosen}: {told if dtype == 'auto' else 'requested'}; by {backend}"
    return DeviceConfig(backend, name, chosen, why)


def fast_formats(kind: str) -> tuple[str, ...]:
    """Half-precision formats that torch computes faster than float32 on a kind of device, the most exact first."""
    if kind == "cpu":
        return ("bfloat16",) if _cpu_multiplies_bfloat16() else ()
    return "float16", "bfloat16"


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16 (AVX-512 BF16, AMX, Arm BF16); others emulate it, slowly."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu_instructions())


def cpu_instructions() -> list[str]:
    """The instruction sets of the CPU by their names in /proc/cpuinfo; none where the system has no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # not Linux
        return []
    return next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])


def devices(backend: Backend = "onnxruntime") -> list[str]:
    """Kinds of device that this machine and this build of the backend have, best first; "cpu" is always the last.

    DeviceError: the backend is not installed.
    """
    if backend == "onnxruntime":
        import onnxruntime

        found = set(onnxruntime.get_available_providers())
        return [kind for kind, provider in PROVIDERS.items() if provider in found or kind == "cpu"]
    torch = import_torch("device cuda, xpu or mps")
    available = {
        "cuda": torch.cuda.is_available(),  # also ROCm
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return [*(kind for kind, there in available.items() if there), "cpu"]


def import_torch(purpose: str) -> Any:
    """The module torch, for a ``purpose`` (DeviceError: it is not installed)."""
    try:
        import torch
    except ImportError as error:
        raise DeviceError(f"{purpose} needs torch: {INSTALL_TORCH}; exported .onnx files run without it") from error
    return torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; only some devices have a class of their own for that."""
    words = "out of memory", "allocate memory", "not enough memory", "alloc_failed"
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _check_device(device: str, present: list[str], backend: Backend) -> None:
    """Raise DeviceError unless the backend has this device."""
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?", device)
    known = (*PROVIDERS,) if backend == "onnxruntime" else ("cuda", "xpu", "mps", "cpu")
    if match is None or match[1] not in known:
        raise DeviceError(f"unknown device {device!r}; {backend} has {', '.join(present)} here")
    if match[1] not in present:
        raise DeviceError(f"no device {device!r} for {backend} on this machine; it has {', '.join(present)}")
    if backend == "torch" and match[1] == "cuda":
        count = import_torch(device).cuda.device_count()
        if int(match[2] or 0) >= count:
            raise DeviceError(f"no device {device!r}; CUDA devices here: {count}")
