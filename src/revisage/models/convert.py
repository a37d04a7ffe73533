"""Weights files from one form into another, and weights of bilinear networks into those of clean ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from revisage.errors import CheckpointError, InputError
from revisage.models.architectures import ARCHITECTURES
from revisage.models.build import construct_empty, read_checkpoint
from revisage.models.checkpoint import Header, ParameterSet, check_finite, check_fit, save_weights
from revisage.models.detect_architecture import lookalikes
from revisage.models.torch_pickle import save_torch_weights

TARGETS = (".safetensors", ".pth")

CLEAN = {"GFPGANBilinear": "GFPGANv1Clean", "StyleGAN2GeneratorBilinear": "StyleGAN2GeneratorClean"}
"""Architecture -> its clean form."""

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


@dataclass(frozen=True)
class Conversion:
    """A written file: its network, the numbers in its tensors, its bytes."""

    architecture: str
    values: int
    size: int


def convert(
    source: Path,
    target: Path,
    *,
    parameter_set: ParameterSet | None = None,
    half: bool = False,
    clean: bool = False,
    architecture: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write the weights of one file into another, in the form that its suffix names.

    ``.safetensors`` files get a header that names their network; ``.pth`` files are laid out as the published ones of
    their network, so that other programs load them.

    Args:
        source: a weights file.
        target: a ``.safetensors`` or ``.pth`` file; written whole or not at all.
        parameter_set: which of two sets of weights, see ``read_state``.
        half: store float16.
        clean: convert GFPGANBilinear to GFPGANv1Clean, see ``to_clean``.
        architecture: decides between networks with the same keys, see ``detect_architecture``.
        overwrite: replace a file of that name.

    Raises:
        InputError: the target has another suffix, or exists already.
        MissingWeightsError: there is no source.
        CheckpointError: the source is damaged, unsafe, unknown or does not fit its network; or it is to be converted
            and has no clean form.
        OutputError: the target cannot be written.
    """
    if target.suffix.lower() not in TARGETS:
        raise InputError(f"{target}: weights are written as {' or '.join(TARGETS)}")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already (--overwrite replaces it)")
    state, header = read_checkpoint(source, architecture, parameter_set)
    _check(state, header, source)
    if clean:
        state, header = _clean(state, header, source)
        _check(state, header, source)
    dtype = torch.float16 if half else None
    if target.suffix.lower() == ".pth":
        published = ARCHITECTURES[header.architecture].parameter_set
        save_torch_weights(target, state, (published and parameter_set) or published, dtype)
    else:
        save_weights(target, state, header, dtype)
    values = sum(value.numel() for value in state.values())
    return Conversion(header.architecture, values, target.stat().st_size)


def _check(state: dict[str, Tensor], header: Header, source: Path) -> None:
    check_fit(construct_empty(header, str(source)), state, str(source))
    check_finite(state, str(source))


def _clean(state: dict[str, Tensor], header: Header, source: Path) -> tuple[dict[str, Tensor], Header]:
    architecture, arguments = header.architecture, dict(header.arguments)
    if architecture not in CLEAN:
        bilinear = next((name for name in lookalikes(architecture) if name in CLEAN), None)
        hint = (
            f"; a clean network cannot filter as it does. If the weights were trained in {bilinear}, whose files look"
            f" the same, say so: --architecture {bilinear}"
            if bilinear
            else ""
        )
        raise CheckpointError(f"{source} holds weights of a {architecture}, which have no clean form{hint}")
    if arguments.pop("interpolation_mode", "bilinear") != "bilinear":
        raise CheckpointError(f"{source} holds weights of a network that repeats pixels, which have no clean form")
    converted = to_clean(state, arguments.pop("lr_mlp", 0.01))
    return converted, replace(header, architecture=CLEAN[architecture], arguments=arguments)


def to_clean(state: Mapping[str, Tensor], lr_mlp: float = 0.01) -> dict[str, Tensor]:
    """Convert weights of GFPGANBilinear for GFPGANv1Clean, or of StyleGAN2GeneratorBilinear for the clean generator.

    The bilinear networks scale their weights at run time (equalised learning rate) and multiply after each activation
    by sqrt 2. Leaky ReLU is positively homogeneous, so both can be moved into weights and biases; in a residual block
    the division by sqrt 2 cancels the gain of the last activation and is left to the shortcut. Networks that filter
    where these interpolate (GFPGANv1, StyleGAN2Generator) have no clean form, though their keys are the same.

    Returns new tensors of the same dtypes (half precision becomes float32); ``lr_mlp`` as in training (CheckpointError:
    a key belongs to neither network).
    """
    return dict(_convert_tensor(key, _at_least_float32(value), lr_mlp) for key, value in state.items())


def _convert_tensor(key: str, value: Tensor, lr_mlp: float) -> tuple[str, Tensor]:
    linear = re.fullmatch(r"(.*style_mlp)\.(\d+)\.(weight|bias)", key)
    if linear:  # activations have indices of their own in the clean network
        index = 2 * int(linear[2]) - 1
        return f"{linear[1]}.{index}.{linear[3]}", value * (_equalisation(key, value) * lr_mlp * _GAIN)
    for pattern, replacement, factor in _RULES:
        match = re.fullmatch(pattern, key)
        if match:
            value = value * (_equalisation(key, value) * factor)
            return match.expand(replacement), value.view(1, -1, 1, 1) if key.endswith("activate.bias") else value
    raise CheckpointError(f"{key} is no weight of a bilinear GFP-GAN or StyleGAN2")


def _equalisation(key: str, value: Tensor) -> float:
    """The factor by which the network multiplies a stored weight: 1 / sqrt(fan in)."""
    if value.ndim < 2 or "constant_input" in key or "noises" in key or key.endswith("bias"):
        return 1
    modulated = value.ndim == 5  # (1, out, in, k, k)
    return 1 / math.sqrt(math.prod(value.shape[2 if modulated else 1 :]))


def _at_least_float32(value: Tensor) -> Tensor:
    return value.float() if value.dtype.itemsize == 2 else value
