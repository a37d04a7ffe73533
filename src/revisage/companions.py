"""The networks beside a restorer: what enlarges backgrounds, tells parts of faces apart, and people."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from revisage.architectures.build import build
from revisage.catalogue import MODELS
from revisage.device import Choice
from revisage.errors import UnknownModelError
from revisage.moderate import Describe, Parse
from revisage.nets.arcface import gray_faces
from revisage.nets.parsenet import ParseNet
from revisage.tensors import to_tensor
from revisage.types import FloatImage
from revisage.upscale_tiles import STEP, TiledUpscaler, check_tile
from revisage.weight_files import weight_file

PARSERS = frozenset({"ParseNet"})
"""Architectures that tell the parts of faces apart."""
UPSCALERS = frozenset({"RRDBNet", "SRVGGNetCompact"})
"""Architectures that enlarge pictures."""
DESCRIBERS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "FaceEmbedder": lambda crops: crops,
    "ResNetArcFace": gray_faces,
}
"""Architectures that tell people apart, and what aligned crops (N, 3, S, S) in [-1, 1] become before they see them."""
TOGETHER = 16
"""Faces that are described together, which bounds the memory for pictures of crowds."""
PARSER = "parsenet"
"""What tells the parts of faces apart if its file happens to be here and nobody said otherwise."""


def check_role(model: str | Path, architectures: Container[str], what: str) -> None:
    """Raise UnknownModelError if ``model`` is the name of something else."""
    spec = MODELS.get(str(model))
    if spec and spec.architecture not in architectures:
        raise UnknownModelError(f"{model} is a {spec.architecture}, not {what}: it {spec.role}")


def load_upscaler(choice: Choice, model: str | Path, tile: int = 400, *, offline: bool | None = None) -> TiledUpscaler:
    """What enlarges backgrounds, by name or file; see ``load``.

    Raises:
        UnknownModelError: it enlarges no colour pictures; and as ``weight_file``.
        InputError: tiles too small.
    """
    check_tile(tile)
    check_role(model, UPSCALERS, "an upscaler")
    network, config = build(weight_file(model, offline=offline))
    if config["architecture"] not in UPSCALERS:
        raise UnknownModelError(f"{model} is a {config['architecture']}, not an upscaler")
    try:
        with torch.inference_mode():
            factor = network(torch.zeros(1, 3, STEP, STEP)).shape[-1] // STEP
    except RuntimeError as error:
        raise UnknownModelError(f"{model} enlarges no colour pictures") from error
    network = network.to(choice.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return TiledUpscaler(network, factor, choice, tile)


def load_parser(choice: Choice, model: str | Path = PARSER, *, offline: bool | None = None) -> Parse:
    """What tells the parts of faces apart, by name or file; in float32, see ``Restorer.parse``.

    Raises:
        UnknownModelError: it does not; and as ``weight_file``.
    """
    check_role(model, PARSERS, "a parsing network")
    network, config = build(weight_file(model, offline=offline))
    if not isinstance(network, ParseNet):
        raise UnknownModelError(f"{model} is a {config['architecture']}, not a parsing network")
    network, side = network.to(choice.device), config["arguments"]["in_size"]

    def labels(crop: FloatImage) -> NDArray[np.uint8]:
        seen = torch.nn.functional.interpolate(to_tensor([crop]).to(choice.device), (side, side), mode="area")
        found = network(seen)[0].argmax(1, keepdim=True).float()
        found = torch.nn.functional.interpolate(found, crop.shape[:2], mode="nearest-exact")
        return found[0, 0].to(torch.uint8).cpu().numpy()

    def parse(crops: Sequence[FloatImage]) -> NDArray[np.uint8]:
        with torch.inference_mode():  # one by one: what a batch would save in time it would cost in memory
            return np.stack([labels(crop) for crop in crops])

    return parse


def load_descriptor(
    choice: Choice, model: str | Path = "embedded-identity", *, offline: bool | None = None
) -> Describe:
    """What tells people apart, by name or file; in float32, see ``Restorer.describe``.

    Raises:
        UnknownModelError: it does not tell people apart; and as ``weight_file``.
    """
    check_role(model, DESCRIBERS, "an identity network")
    network, config = build(weight_file(model, offline=offline))
    prepare = DESCRIBERS.get(config["architecture"])
    if prepare is None:
        raise UnknownModelError(f"{model} is a {config['architecture']}, not an identity network")
    network = network.to(choice.device)

    def describe(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
        if not crops:
            return np.zeros((0, 0), np.float32)
        parts = [crops[start : start + TOGETHER] for start in range(0, len(crops), TOGETHER)]
        with torch.inference_mode():
            descriptors = torch.cat([network(prepare(to_tensor(part).to(choice.device))).float() for part in parts])
            return torch.nn.functional.normalize(descriptors).cpu().numpy()

    return describe


def when_needed(make: Callable[[], Describe]) -> Describe:
    """A function that is made when it is first called, and once, however many threads call it."""
    lock = Lock()
    made: list[Describe] = []

    def describe(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
        with lock:
            if not made:
                made.append(make())
        return made[0](crops)

    return describe
