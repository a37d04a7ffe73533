"""How a name or a file becomes a restorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from revisage.errors import UnknownModelError
from revisage.images.pixels import to_tensor
from revisage.models.architectures import ARCHITECTURES, Role
from revisage.models.build import build
from revisage.models.device import Choice, choose
from revisage.models.fetch import present, weight_file
from revisage.models.nets import retinaface
from revisage.models.nets.arcface import gray_faces
from revisage.models.nets.parsenet import ParseNet
from revisage.models.nets.retinaface import RetinaFace
from revisage.models.registry import DEFAULT_PARSER, MODELS, ModelSpec
from revisage.restore.blend import Describe, Parse
from revisage.restore.detect import Detector
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import lanczos
from revisage.restore.upscale_tiles import STEP, TiledUpscaler, check_tile
from revisage.types import Array, FloatImage

LANCZOS = "lanczos"
"""What ``background`` is called where no network enlarges it."""


def load(
    model: str | Path = "embedded",
    *,
    device: str = "auto",
    dtype: str = "auto",
    architecture: str | None = None,
    background: str | Path = LANCZOS,
    tile: int = 400,
    identity: str | Path = "embedded-identity",
    parser: str | Path | None = "auto",
    offline: bool | None = None,
) -> Restorer:
    """Make a restorer.

    Args:
        model: a name of ``registry.MODELS``, whose file is downloaded if it is not in the package or the cache;
            or a ``.safetensors``, ``.pth``, ``.pt`` or ``.ckpt`` file of a face restorer: CoarseToFineUNet,
            RestorationUNet, GFPGANv1Clean, GFPGANv1, GFPGANBilinear, RestoreFormer or RestoreFormer++. Which one it
            is and how large is read from the file; code in it is never run.
        device: "auto", "cpu", "cuda", "cuda:1", "xpu" or "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".
        architecture: "GFPGANBilinear" for weights trained with bilinear layers: their files look like those of
            GFPGANv1, which is what None takes them for.
        background: a name or file, likewise, of what enlarges the rest of the picture: RRDBNet or SRVGGNetCompact;
            "lanczos" needs no network.
        tile: side of the tiles in which it does; 0 takes the picture whole. Halved where memory is short.
        identity: a name or file of what tells people apart: FaceEmbedder or ResNetArcFace. Loaded when a control first
            needs it.
        parser: a name or file of what tells the parts of faces apart, so that hair and skin are pasted and what is
            beside them is not: ParseNet. "auto" takes the published one if its file is in the cache already, but never
            downloads it; without, as with None, the alignment says where a head is.
        offline: True never downloads; None asks the environment variable ``REVISAGE_OFFLINE``.

    Raises:
        UnknownModelError: neither a name nor a file; or a model that does not restore.
        MissingWeightsError: the file is not here, and downloads are off.
        DownloadError: the file is not here, and cannot be had.
        CheckpointError: the file is damaged, holds more than tensors, or does not fit its network.
        DeviceError: device or dtype are not to be had here.
        InputError: tiles too small.
    """
    choice = choose(device, dtype)
    # Names are validated before any download.
    spec = check_role(model, "restorer")
    check_role(identity, "embedder")
    check_parser(parser or DEFAULT_PARSER)
    upscale = lanczos if background == LANCZOS else load_upscaler(choice, background, tile, offline=offline)
    path = weight_file(model, offline=offline)
    network, header = build(path, architecture or (spec and spec.architecture))
    size = header.size
    if size is None:
        raise UnknownModelError(f"{model} is a {header.architecture}, not a restorer")
    network = network.to(choice.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Restorer(
        name=str(model),
        detect=load_detector(choice),
        network=PictureOnly(network),
        size=size,
        choice=choice,
        batch=1 if choice.device.type == "cpu" else 8,  # on a CPU batches only cost memory
        upscale=upscale,
        parse=_parser(choice, parser, offline=offline),
        describe=when_needed(partial(load_descriptor, choice, identity, offline=offline)),
    )


def _parser(choice: Choice, parser: str | Path | None, *, offline: bool | None) -> Parse | None:
    if parser == "auto":
        parser = DEFAULT_PARSER if DEFAULT_PARSER in present() else None
    return None if parser is None else load_parser(choice, parser, offline=offline)


def load_detector(choice: Choice) -> Detector:
    """The embedded face detector, in float32: boxes and landmarks are too fine for less."""
    network, _ = build(weight_file("embedded-detector"))
    if not isinstance(network, RetinaFace):
        raise UnknownModelError("the embedded detector's file holds another network")
    network = retinaface.fuse_batch_norms(network).to(choice.device)

    def propose(pictures: NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        with torch.inference_mode():
            writable = np.require(pictures, requirements=["C", "W"])  # others torch takes with a warning
            tensor = torch.from_numpy(writable).to(choice.device).permute(0, 3, 1, 2).float()
            found = retinaface.propose(network, tensor.contiguous(memory_format=torch.channels_last))
        boxes, scores, landmarks = (value.cpu().numpy() for value in found)
        return boxes, scores, landmarks

    return Detector(propose)


@dataclass(frozen=True)
class PictureOnly:
    """A network as a restorer needs it: of those that return (picture, more), the picture.

    Attributes:
        module: the network itself.
    """

    module: nn.Module

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, 3, size, size) RGB in [-1, 1] -> the same shape."""
        output = self.module(crops.contiguous(memory_format=torch.channels_last))
        return output[0] if isinstance(output, tuple) else output


TOGETHER = 16
"""Faces that are described together, which bounds the memory for pictures of crowds."""


def check_role(model: str | Path, role: Role) -> ModelSpec | None:
    """The row of a named model, None for a file.

    Raises:
        UnknownModelError: a name of a model with another role.
    """
    spec = MODELS.get(str(model))
    if spec and spec.role != role:
        raise UnknownModelError(f"{model} is a {spec.architecture}, not {_article(role)}: it {spec.description}")
    return spec


def check_architecture(model: str | Path, architecture: str, role: Role) -> None:
    """Raise UnknownModelError if a network has another role."""
    if ARCHITECTURES[architecture].role != role:
        raise UnknownModelError(f"{model} is a {architecture}, not {_article(role)}")


def check_parser(model: str | Path) -> None:
    """Raise UnknownModelError if ``model`` is the name of no parser, or of one with another order of labels."""
    spec = check_role(model, "parser")
    if spec and spec.architecture != "ParseNet":
        raise UnknownModelError(f"{model} is a {spec.architecture}; the face parser has to be a ParseNet")


def _article(role: Role) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def load_upscaler(choice: Choice, model: str | Path, tile: int = 400, *, offline: bool | None = None) -> TiledUpscaler:
    """What enlarges backgrounds, by name or file; see ``load``.

    Raises:
        UnknownModelError: it enlarges no colour pictures; and as ``weight_file``.
        InputError: tiles too small.
    """
    check_tile(tile)
    check_role(model, "upscaler")
    network, header = build(weight_file(model, offline=offline))
    check_architecture(model, header.architecture, "upscaler")
    try:
        with torch.inference_mode():
            factor = network(torch.zeros(1, 3, STEP, STEP)).shape[-1] // STEP
    except RuntimeError as error:
        raise UnknownModelError(f"{model} enlarges no colour pictures") from error
    network = network.to(choice.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return TiledUpscaler(network, factor, choice, tile)


def load_parser(choice: Choice, model: str | Path = DEFAULT_PARSER, *, offline: bool | None = None) -> Parse:
    """What tells the parts of faces apart, by name or file; in float32, see ``Restorer.parse``.

    Raises:
        UnknownModelError: it does not; and as ``weight_file``.
    """
    check_parser(model)
    network, header = build(weight_file(model, offline=offline))
    if not isinstance(network, ParseNet):
        raise UnknownModelError(f"{model} is a {header.architecture}; the face parser has to be a ParseNet")
    network, side = network.to(choice.device), header.arguments["in_size"]

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
    check_role(model, "embedder")
    network, header = build(weight_file(model, offline=offline))
    check_architecture(model, header.architecture, "embedder")
    gray = header.architecture == "ResNetArcFace"
    network = network.to(choice.device)

    def describe(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
        if not crops:
            return np.zeros((0, 0), np.float32)
        parts = [crops[start : start + TOGETHER] for start in range(0, len(crops), TOGETHER)]
        with torch.inference_mode():
            tensors = [to_tensor(part).to(choice.device) for part in parts]
            descriptors = torch.cat([network(gray_faces(x) if gray else x).float() for x in tensors])
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
