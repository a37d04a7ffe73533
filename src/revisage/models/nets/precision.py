"""Full precision within networks that run in float16 or bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def accurate(dtype: torch.dtype) -> torch.dtype:
    """The format of computations that need more than half precision: float32, or float64 in a float64 network."""
    return torch.promote_types(dtype, torch.float32)


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A context in which autocast leaves the operations on x's device alone."""
    device = x.device.type
    active = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if active else nullcontext()


def accurately(convert: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The conversion that ``Module.to`` hands to ``_apply``, without its step down to half precision.

    Device and memory format change as asked; a half-precision tensor becomes float32.
    """

    def apply(tensor: Tensor) -> Tensor:
        converted = convert(tensor)
        if not converted.is_floating_point() or converted.dtype == accurate(converted.dtype):
            return converted
        return torch.empty_like(converted, dtype=accurate(converted.dtype)).copy_(tensor)

    return apply
