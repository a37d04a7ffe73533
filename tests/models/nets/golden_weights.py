"""Reproducible weights and inputs of the golden files: every value follows from its key and its shape."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
import torch

from locations import GOLDEN

FOLDER = GOLDEN


def golden_state(state: Mapping[str, torch.Tensor], equalised: bool = False) -> dict[str, torch.Tensor]:
    """A state dict of the same keys and shapes with the golden values, float64.

    Args:
        state: the network's own state dict; only keys and shapes are read.
        equalised: the network scales its weights at run time (StyleGAN2, its discriminator, GFPGANv1, GFPGANBilinear).
    """
    return {key: _golden_value(key, tuple(value.shape), equalised) for key, value in state.items()}


def golden_input(*shape: int) -> torch.Tensor:
    """Uniform in [-1, 1), float64."""
    return torch.from_numpy(np.random.RandomState(1234).uniform(-1, 1, shape))


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """The reference's outputs for ``name``."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def manifest(name: str) -> dict[str, Any]:
    """``num_params``, ``buffers`` and ``state_dict`` (key -> shape) of a published network."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    """A network's state dict in the form of a manifest's."""
    return {key: list(value.shape) for key, value in module.state_dict().items()}


def _golden_value(key: str, shape: tuple[int, ...], equalised: bool) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    p = torch.as_tensor(np.random.RandomState(crc32(key.encode())).standard_normal(shape))
    if key.endswith("running_var"):
        return 1 + 0.1 * p
    if key.endswith("running_mean"):
        return 0.1 * p
    if ".noises." in f".{key}" or "constant_input" in key or "embedding" in key:
        return p
    is_spatial_bias = key.endswith("bias") and len(shape) == 4
    if len(shape) >= 2 and not is_spatial_bias:
        if equalised:
            return p * (100 if "style_mlp" in key else 1)
        return p / math.sqrt(math.prod(shape[2:] if len(shape) == 5 else shape[1:]))
    is_norm_weight = key.endswith("weight") and len(shape) == 1 and shape[0] > 1
    return 1 + 0.1 * p if key.endswith("modulation.bias") or is_norm_weight else 0.1 * p
