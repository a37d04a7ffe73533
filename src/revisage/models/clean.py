"""From bilinear to clean: the same function, its constants multiplied into the weights.

The bilinear networks scale their weights at run time (equalised learning rate) and multiply after each activation by
sqrt 2. Leaky ReLU is positively homogeneous, so both can be moved into weights and biases; in a residual block the
division by sqrt 2 cancels the gain of the last activation and is left to the shortcut. For networks that filter where
these interpolate (GFPGANv1, StyleGAN2Generator) there is no such conversion, though their keys are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from revisage.errors import CheckpointError

CLEAN = {"GFPGANBilinear": "GFPGANv1Clean", "StyleGAN2GeneratorBilinear": "StyleGAN2GeneratorClean"}
"""Architecture -> what its weights are converted for."""

_GAIN = math.sqrt(2)
_DECODER = r"((?:stylegan_decoder\.)?"
_RULES: tuple[tuple[str, str, float], ...] = (
    # key, key afterwards, factor besides the equalisation
    (_DECODER + r"constant_input\.weight)", r"\1", 1),
    (_DECODER + r"noises\.noise\d+)", r"\1", 1),
    (_DECODER + r"style_convs?[\d.]+weight)", r"\1", _GAIN),  # strength of the noise
    (_DECODER + r"style_convs?[\d.]+modulated_conv\.weight)", r"\1", 1),
    (_DECODER + r"style_convs?[\d.]+)activate\.bias", r"\1bias", _GAIN),
    (_DECODER + r"(?:style_convs?|to_rgbs?)[\d.]+modulated_conv\.modulation\.(?:weight|bias))", r"\1", 1),
    (_DECODER + r"to_rgbs?[\d.]+(?:modulated_conv\.weight|bias))", r"\1", 1),
    (r"(conv_body_first|final_conv|conv_body_\w+\.\d+\.conv1)\.[01]\.(weight|bias)", r"\1.\2", _GAIN),
    (r"(conv_body_\w+\.\d+\.conv2)\.(?:[12]\.|activation\.)?(weight|bias)", r"\1.\2", 1),
    (r"(conv_body_\w+\.\d+\.skip)\.(?:1\.)?(weight)", r"\1.\2", 1 / _GAIN),
    (r"((?:toRGB\.\d+|final_linear)\.(?:weight|bias))", r"\1", 1),
    (r"(condition_(?:scale|shift)\.\d+\.0\.(?:weight|bias))", r"\1", _GAIN),
    (r"(condition_(?:scale|shift)\.\d+\.2\.(?:weight|bias))", r"\1", 1),
)


def to_clean(state: Mapping[str, Tensor], lr_mlp: float = 0.01) -> dict[str, Tensor]:
    """Weights of GFPGANBilinear for GFPGANv1Clean, or of StyleGAN2GeneratorBilinear for StyleGAN2GeneratorClean.

    Args:
        state: official key -> tensor; not changed.
        lr_mlp: the argument of that name with which the network was trained.

    Returns:
        new tensors of the same dtypes (half precision becomes float32) under the keys of the clean network.

    Raises:
        CheckpointError: a key belongs to neither network.
    """
    return dict(_converted(key, _precise(value), lr_mlp) for key, value in state.items())


def _converted(key: str, value: Tensor, lr_mlp: float) -> tuple[str, Tensor]:
    linear = re.fullmatch(r"(.*style_mlp)\.(\d+)\.(weight|bias)", key)
    if linear:  # activations have places of their own in the clean network
        place = 2 * int(linear[2]) - 1
        return f"{linear[1]}.{place}.{linear[3]}", value * (_equalisation(key, value) * lr_mlp * _GAIN)
    for pattern, replacement, factor in _RULES:
        match = re.fullmatch(pattern, key)
        if match:
            value = value * (_equalisation(key, value) * factor)
            return match.expand(replacement), value.view(1, -1, 1, 1) if key.endswith("activate.bias") else value
    raise CheckpointError(f"{key} is no weight of a bilinear GFP-GAN or StyleGAN2")


def _equalisation(key: str, value: Tensor) -> float:
    """What the network multiplies a stored weight by: 1 / sqrt(fan in)."""
    if value.ndim < 2 or "constant_input" in key or "noises" in key or key.endswith("bias"):
        return 1
    modulated = value.ndim == 5  # (1, out, in, k, k)
    return 1 / math.sqrt(math.prod(value.shape[2 if modulated else 1 :]))


def _precise(value: Tensor) -> Tensor:
    return value.float() if value.dtype.itemsize == 2 else value
