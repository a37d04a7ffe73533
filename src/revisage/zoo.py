"""How a name or a file becomes a restorer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from revisage.architectures.build import build
from revisage.architectures.recognise import NETWORKS, family_of
from revisage.catalogue import MODELS, present
from revisage.companions import (
    DESCRIBERS,
    PARSER,
    PARSERS,
    check_role,
    load_descriptor,
    load_parser,
    load_upscaler,
    when_needed,
)
from revisage.device import Choice, choose
from revisage.errors import UnknownModelError
from revisage.faces.detect import Detector
from revisage.moderate import Parse
from revisage.nets import retinaface
from revisage.nets.retinaface import RetinaFace
from revisage.pipeline import Restorer
from revisage.types import Array
from revisage.upscale import lanczos
from revisage.weight_files import weight_file

LANCZOS = "lanczos"
"""What ``background`` is called where no network enlarges it."""
RESTORERS = frozenset(name for name in NETWORKS if family_of(name).side is not None)
"""Architectures that restore aligned faces."""


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
        model: a name of ``catalogue.MODELS``, whose file is downloaded if it is not in the package or the cache;
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
    spec = MODELS.get(str(model))
    # Wrong names come to light before anything is downloaded.
    check_role(model, RESTORERS, "a restorer")
    check_role(identity, DESCRIBERS, "an identity network")
    check_role(parser or PARSER, PARSERS, "a parsing network")
    upscale = lanczos if background == LANCZOS else load_upscaler(choice, background, tile, offline=offline)
    path = weight_file(model, offline=offline)
    network, config = build(path, architecture or (spec and spec.architecture))
    size = config.get("size")
    if not isinstance(size, int):
        raise UnknownModelError(f"{model} is a {config['architecture']}, not a restorer")
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
        parser = PARSER if PARSER in present() else None
    return None if parser is None else load_parser(choice, parser, offline=offline)


def load_detector(choice: Choice) -> Detector:
    """The embedded face detector, in float32: boxes and landmarks are too fine for less."""
    network, _ = build(weight_file("embedded-detector"))
    if not isinstance(network, RetinaFace):
        raise UnknownModelError("the embedded detector's file holds another network")
    network = retinaface.fused(network).to(choice.device)

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
