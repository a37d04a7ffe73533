"""Where the networks run and in which number format, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from revisage.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Choice:
    """A device and a number format.

    Attributes:
        device: where the networks live.
        dtype: format of the convolutions; pictures and sums stay float32.
        reason: one line for people.
    """

    device: torch.device
    dtype: torch.dtype
    reason: str


def choose(device: str = "auto", dtype: str = "auto") -> Choice:
    """Settle ``device`` ("auto", "cpu", "cuda", "cuda:1", "mps", "xpu") and ``dtype`` ("auto" or one of DTYPES).

    "auto" takes the first of CUDA (which is also ROCm), Intel XPU and Apple MPS that this machine has, else the CPU;
    and float32, because then every machine gives the same picture.

    Raises:
        DeviceError: this machine or this build of torch does not have it.
    """
    import torch

    if dtype != "auto" and dtype not in DTYPES:
        raise DeviceError(f"unknown dtype {dtype!r}; known: auto, {', '.join(DTYPES)}")
    present = devices()
    if device == "auto":
        name = present[0]
        why = f"{name}: the first of {', '.join(present)}" if len(present) > 1 else "cpu: no accelerator seen"
    else:
        name, why = device, f"{device}: asked for"
        try:
            kind = torch.device(name).type
        except RuntimeError as error:
            raise DeviceError(f"unknown device {device!r}; this machine has {', '.join(present)}") from error
        if kind not in present:
            raise DeviceError(f"no device {device!r} on this machine; it has {', '.join(present)}")
        if kind == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count():
            raise DeviceError(f"no device {device!r}; CUDA devices here: {torch.cuda.device_count()}")
    chosen = "float32" if dtype == "auto" else dtype
    why += f"; {chosen}: {'exact, the same on every machine' if dtype == 'auto' else 'asked for'}"
    return Choice(torch.device(name), getattr(torch, chosen), why)


def evaluate(network: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor, choice: Choice) -> torch.Tensor:
    """What a network makes of a batch, computed in the chosen format, without gradients.

    Pictures that come out of half precision with values beyond its range are computed once more in float32.

    Args:
        network: (N, ...) -> (N, ...).
        batch: on the device of ``choice``.
        choice: device and number format.

    Returns:
        float32; whether all of it is finite is for the caller to ask.
    """
    import torch

    half = choice.dtype != torch.float32
    with torch.inference_mode():
        with torch.autocast(choice.device.type, choice.dtype, enabled=half):
            output = network(batch).float()
        if half and not (sound := torch.isfinite(output).flatten(1).all(1)).all():
            output[~sound] = network(batch[~sound]).float()
        return output


def devices() -> list[str]:
    """Kinds of device that this machine and this build of torch have, best first; "cpu" is always the last."""
    import torch

    found: list[str] = []
    if torch.cuda.is_available():
        found.append("cuda")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found.append("xpu")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]
