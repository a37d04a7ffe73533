"""How a name or a file becomes a restorer, and where the weights come from."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from revisage.architectures.build import SUFFIXES, build
from revisage.architectures.recognise import NETWORKS, family_of
from revisage.catalogue import MODELS, ModelSpec, path_of
from revisage.device import Choice, choose
from revisage.errors import CheckpointError, MissingWeightsError, UnknownModelError
from revisage.faces.detect import Detector
from revisage.files.cache import cache_folder, is_offline, mirror
from revisage.files.download import Remote, by_hand, download
from revisage.files.transfer_bar import transfer_bar
from revisage.nets import retinaface
from revisage.nets.retinaface import RetinaFace
from revisage.pipeline import Restorer
from revisage.types import Array


def load(
    model: str | Path = "embedded",
    *,
    device: str = "auto",
    dtype: str = "auto",
    architecture: str | None = None,
    offline: bool | None = None,
) -> Restorer:
    """Make a restorer.

    Args:
        model: a name of ``catalogue.MODELS``, whose file is downloaded if it is not in the package or the cache;
            or a ``.safetensors``, ``.pth``, ``.pt`` or ``.ckpt`` file of a face restorer: RestorationUNet,
            GFPGANv1Clean, GFPGANv1, GFPGANBilinear, RestoreFormer or RestoreFormer++. Which one it is and how large is
            read from the file; code in it is never run.
        device: "auto", "cpu", "cuda", "cuda:1", "xpu" or "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".
        architecture: "GFPGANBilinear" for weights trained with bilinear layers: their files look like those of
            GFPGANv1, which is what None takes them for.
        offline: True never downloads; None asks the environment variable ``REVISAGE_OFFLINE``.

    Raises:
        UnknownModelError: neither a name nor a file; or a model that does not restore.
        MissingWeightsError: the file is not here, and downloads are off.
        DownloadError: the file is not here, and cannot be had.
        CheckpointError: the file is damaged, holds more than tensors, or does not fit its network.
        DeviceError: device or dtype are not to be had here.
    """
    choice = choose(device, dtype)
    spec = MODELS.get(str(model))
    if spec and not _restores(spec):  # before its file is downloaded
        raise UnknownModelError(f"{model} is a {spec.architecture}, not a restorer: it {spec.role}")
    path = weight_file(model, offline=offline)
    network, config = build(path, architecture or (spec and spec.architecture))
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


def weight_file(model: str | Path, *, offline: bool | None = None) -> Path:
    """Where the weights of a named model, or of a file given as such, lie; published ones are downloaded if need be.

    Raises:
        UnknownModelError: says which names are like it.
        CheckpointError, MissingWeightsError, DownloadError: see ``fetch``.
    """
    if str(model) in MODELS:
        return fetch(str(model), offline=offline)
    path = Path(model)
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise UnknownModelError(f"{path}: weight files end in {', '.join(SUFFIXES)}")
        return path
    raise UnknownModelError(f"no model or file {str(model)!r}{_suggestion(path.name)}; `revisage models` lists all")


def fetch(name: str, *, offline: bool | None = None) -> Path:
    """The file of a name of ``catalogue.MODELS``; downloaded into the cache if it is not there.

    A download shows a bar on a terminal. It is checked before it is used: size and SHA-256 where they are known,
    otherwise whether it holds weights of the architecture.

    Args:
        name: of the model.
        offline: True never downloads; None asks the environment variable ``REVISAGE_OFFLINE``.

    Raises:
        UnknownModelError: there is no such name.
        CheckpointError: a file of that name is there, but has not the size of the published one.
        MissingWeightsError: it is not here, and downloads are off; says how to bring it.
        DownloadError: it cannot be had; says how to bring it.
    """
    if name not in MODELS:
        raise UnknownModelError(f"no model {name!r}{_suggestion(name)}; `revisage models` lists all")
    spec, path = MODELS[name], path_of(name)
    if path.is_file():
        size = path.stat().st_size
        if spec.size not in (None, size):
            raise CheckpointError(f"{path} has {size} bytes, not the {spec.size} of {name}: remove it to have it again")
        return path
    if not spec.urls:
        raise MissingWeightsError(f"{path} is missing: the package is not whole, install it again")
    remote = Remote(spec.file, spec.urls, spec.size, spec.sha256)
    if is_offline() if offline is None else offline:
        raise MissingWeightsError(f"{name} is not here and downloads are off; {by_hand(remote, path.parent)}")

    def check(file: Path) -> None:
        if not spec.sha256 and spec.architecture in NETWORKS:
            build(file, spec.architecture)

    with transfer_bar(name) as progress:
        return download(remote, cache_folder(), mirror=mirror(), check=check, progress=progress)


def _restores(spec: ModelSpec) -> bool:
    return spec.architecture in NETWORKS and family_of(spec.architecture).side is not None


def _suggestion(name: str) -> str:
    """A question to append, if the name is nearly that of a model, or what its file is called."""
    same_file = [model for model, spec in MODELS.items() if spec.file == name]
    near = same_file or get_close_matches(name, MODELS, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""


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
