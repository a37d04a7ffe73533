"""Which models there are, and how a name or a file becomes a restorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from revisage.architectures.build import SUFFIXES, build
from revisage.device import Choice, choose
from revisage.errors import UnknownModelError
from revisage.faces.detect import Detector
from revisage.nets import retinaface
from revisage.nets.retinaface import RetinaFace
from revisage.pipeline import Restorer
from revisage.types import Array


@dataclass(frozen=True)
class Licence:
    """Code, weights and data have licences of their own."""

    code: str
    weights: str
    data: str


@dataclass(frozen=True)
class ModelSpec:
    """A model that has a name.

    Attributes:
        architecture: key of ``architectures.recognise.NETWORKS``.
        file: weight file inside the package.
        role: what it does, one line.
        licence: of code, weights and training data.
    """

    architecture: str
    file: str
    role: str
    licence: Licence


EMBEDDED_DATA = "US House portraits (MIT repository) and SFHQ-T2I synthetic faces (MIT)"
MODELS: Mapping[str, ModelSpec] = {
    "embedded": ModelSpec(
        "RestorationUNet",
        "restorer.safetensors",
        "restores aligned 512-pixel faces",
        Licence("Apache-2.0", "Apache-2.0", EMBEDDED_DATA),
    ),
    "embedded-detector": ModelSpec(
        "RetinaFace",
        "detector.safetensors",
        "finds faces and five landmarks",
        Licence("Apache-2.0", "Apache-2.0", EMBEDDED_DATA),
    ),
}


def load(
    model: str | Path = "embedded", *, device: str = "auto", dtype: str = "auto", architecture: str | None = None
) -> Restorer:
    """Make a restorer.

    Args:
        model: a name of MODELS, or a ``.safetensors``, ``.pth``, ``.pt`` or ``.ckpt`` file of a face restorer:
            RestorationUNet, GFPGANv1Clean, GFPGANv1, GFPGANBilinear, RestoreFormer or RestoreFormer++. Which one it is
            and how large is read from the file; code in it is never run.
        device: "auto", "cpu", "cuda", "cuda:1", "xpu" or "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".
        architecture: "GFPGANBilinear" for weights trained with bilinear layers: their files look like those of
            GFPGANv1, which is what None takes them for.

    Raises:
        UnknownModelError: neither a name nor a file; or a model that does not restore.
        CheckpointError: the file is damaged, holds more than tensors, or does not fit its network.
        DeviceError: device or dtype are not to be had here.
    """
    choice = choose(device, dtype)
    path = weight_file(model)
    network, config = build(path, architecture)
    size = config.get("size")
    if not isinstance(size, int):
        raise UnknownModelError(f"{model} is a {config['architecture']}, not a restorer")
    network = network.to(choice.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Restorer(
        name=str(model),
        detect=load_detector(choice),
        network=picture_only(network),
        size=size,
        choice=choice,
        batch=1 if choice.device.type == "cpu" else 8,  # on a CPU batches only cost memory
    )


def weight_file(model: str | Path) -> Path:
    """Where the weights of a named model, or of a file given as such, lie.

    Raises:
        UnknownModelError: says which names there are.
    """
    if str(model) in MODELS:
        return Path(str(files("revisage") / "weights" / MODELS[str(model)].file))
    path = Path(model)
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise UnknownModelError(f"{path}: weight files end in {', '.join(SUFFIXES)}")
        return path
    raise UnknownModelError(f"no model or file {str(model)!r}; models: {', '.join(MODELS)}")


def load_detector(choice: Choice) -> Detector:
    """The embedded face detector, in float32: boxes and landmarks are too fine for less."""
    network, _ = build(weight_file("embedded-detector"))
    if not isinstance(network, RetinaFace):
        raise UnknownModelError("the embedded detector's file holds another network")
    network = retinaface.fused(network).to(choice.device)

    def propose(pictures: NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(pictures)).to(choice.device).permute(0, 3, 1, 2).float()
            found = retinaface.propose(network, tensor.contiguous(memory_format=torch.channels_last))
        boxes, scores, landmarks = (value.cpu().numpy() for value in found)
        return boxes, scores, landmarks

    return Detector(propose)


def picture_only(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Networks that return (picture, more) become functions that return the picture."""

    def restore(crops: torch.Tensor) -> torch.Tensor:
        output = network(crops.contiguous(memory_format=torch.channels_last))
        return output[0] if isinstance(output, tuple) else output

    return restore
