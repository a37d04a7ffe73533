"""Weight files from one form into another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from revisage.errors import CheckpointError, InputError
from revisage.models.architectures import family_of
from revisage.models.build import SUFFIXES, construct_empty, identify
from revisage.models.checkpoint import check_finite, check_fit, save_weights
from revisage.models.clean import CLEAN, to_clean
from revisage.models.legacy import Choice, save_legacy

TARGETS = (".safetensors", ".pth")


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        architecture: the network that the weights are for.
        values: numbers in all its tensors.
        size: bytes of the file.
    """

    architecture: str
    values: int
    size: int


def convert(
    source: Path,
    target: Path,
    *,
    choice: Choice | None = None,
    half: bool = False,
    clean: bool = False,
    architecture: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write the weights of one file into another, whose name says its form.

    ``.safetensors`` files say in their header what network they are for; ``.pth`` files are laid out as the published
    ones of their network, so that other programs load them.

    Args:
        source: a weight file.
        target: a ``.safetensors`` or ``.pth`` file; written whole or not at all.
        choice: which of two sets of weights, see ``read_legacy``.
        half: store float16.
        clean: convert GFPGANBilinear to GFPGANv1Clean (see ``to_clean``).
        architecture: decides where several networks have the same keys, see ``recognise``.
        overwrite: replace a file of that name.

    Raises:
        InputError: the target has another suffix, or exists already.
        MissingWeightsError: there is no source.
        CheckpointError: the source is damaged, unsafe, unknown or does not fit its network; or is none that has a
            clean form.
        OutputError: the target cannot be written.
    """
    if target.suffix.lower() not in TARGETS:
        raise InputError(f"{target}: weights are written as {' or '.join(TARGETS)}")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already (--overwrite replaces it)")
    if source.suffix.lower() not in SUFFIXES:
        raise InputError(f"{source}: weight files end in {', '.join(SUFFIXES)}")
    state, config = identify(source, architecture, choice)
    _check(state, config, source)
    if clean:
        state, config = _cleaned(state, config, source)
        _check(state, config, source)
    dtype = torch.float16 if half else None
    if target.suffix.lower() == ".pth":
        entry = family_of(config["architecture"]).entry
        save_legacy(target, state, "params" if entry and choice == "params" else entry, dtype)
    else:
        save_weights(target, state, config, dtype)
    values = sum(value.numel() for value in state.values())
    return Conversion(config["architecture"], values, target.stat().st_size)


def _check(state: dict[str, torch.Tensor], config: dict[str, Any], source: Path) -> None:
    check_fit(construct_empty(config, str(source)), state, str(source))
    check_finite(state, str(source))


def _cleaned(
    state: dict[str, torch.Tensor], config: dict[str, Any], source: Path
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    architecture, arguments = config["architecture"], dict(config["arguments"])
    if architecture not in CLEAN:
        similar = [bilinear for bilinear in CLEAN if bilinear in {n.__name__ for n in family_of(architecture).networks}]
        hint = (
            f"; a clean network cannot filter as it does. If the weights were trained in {similar[0]}, whose files look"
            f" the same, say so: --architecture {similar[0]}"
            if similar
            else ""
        )
        raise CheckpointError(f"{source} holds weights of a {architecture}, which have no clean form{hint}")
    if arguments.pop("interpolation_mode", "bilinear") != "bilinear":
        raise CheckpointError(f"{source} holds weights of a network that repeats pixels, which have no clean form")
    converted = to_clean(state, arguments.pop("lr_mlp", 0.01))
    return converted, config | {"architecture": CLEAN[architecture], "arguments": arguments}
