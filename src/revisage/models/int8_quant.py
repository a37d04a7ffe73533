"""Weights in eight bits: half the size of float16, for a network that has to be small to be carried along.

Symmetric, with a scale for each output channel (Krishnamoorthi 2018, arXiv 1806.08342, section 3.1): w ≈ scale · q with
integers q from -127 to 127. Only what is stored is smaller: what is read are floats again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from revisage.errors import CheckpointError

if TYPE_CHECKING:
    import torch

SCALE = ".scale"
"""Appended to a tensor's key: where its scales lie."""
_LARGEST = 127


def to_eight_bits(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices and kernels, (C, ...), as int8 and (C,) float32 scales beside them; vectors as float16.

    Args:
        state: tensors by key; what is no floating-point tensor stays as it is.
    """
    import torch

    packed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if not value.is_floating_point():
            packed[key] = value
        elif value.ndim < 2:
            packed[key] = value.to(torch.float16)
        else:
            rows = value.detach().float().flatten(1)
            scales = rows.abs().amax(1) / _LARGEST
            whole = (rows / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round()
            packed[key], packed[key + SCALE] = whole.to(torch.int8).reshape(value.shape), scales
    return packed


def from_eight_bits(state: Mapping[str, torch.Tensor], source: str) -> dict[str, torch.Tensor]:
    """The inverse of :func:`to_eight_bits`, as float32; tensors without scales are handed on.

    Args:
        state: tensors by key.
        source: what to call the origin in an error, a file name say.

    Raises:
        CheckpointError: scales that do not fit their tensor.
    """
    import torch

    packed = {key for key, value in state.items() if value.dtype == torch.int8 and key + SCALE in state}
    scales = {key + SCALE for key in packed}
    floats = {key: value for key, value in state.items() if key not in scales}
    for key in packed:
        value, scale = state[key], state[key + SCALE]
        if not value.ndim or scale.shape != value.shape[:1] or not scale.is_floating_point():
            raise CheckpointError(f"{source} is damaged: the scales of {key} do not fit it")
        floats[key] = value.float() * scale.float().reshape(-1, *[1] * (value.ndim - 1))
    return floats
