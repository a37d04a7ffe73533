"""The networks that losses look through, read from the files that a recipe names; frozen and in eval mode.

None of these files comes with the package. Each ``read_...`` takes the path, None where the recipe gives none, and
``setting``, the path's name in the recipe ("task.features", say), and raises

    RecipeError: no file is given, there is none, or it holds other weights. One line, with the setting's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from revisage.errors import RecipeError, WeightsError
from revisage.evaluation.metrics import networks
from revisage.models.build import read_state
from revisage.models.checkpoint import load_strictly
from revisage.models.nets.arcface import ResNetArcFace
from revisage.models.nets.dlib_face_net import DlibFaceNet
from revisage.models.nets.vgg import VGG16Features, VGG19Features
from revisage.training.config import weights_file
from revisage.training.losses.perceptual import VGG19_WEIGHTS

Weights = TypeVar("Weights", bound=nn.Module | list[Tensor])


def read_vgg16(path: Path | None, setting: str, stages: int = 5) -> VGG16Features:
    """The first stages of VGG16, see :func:`revisage.evaluation.metrics.networks.read_vgg16`."""
    return _read(lambda file: networks.read_vgg16(file, stages), path, setting, "VGG16")


def read_lpips_channels(path: Path | None, setting: str) -> list[Tensor]:
    """LPIPS's weights of VGG16's channels, see :func:`revisage.evaluation.metrics.networks.read_channel_weights`."""
    return _read(networks.read_channel_weights, path, setting, "LPIPS (vgg.pth)")


def read_vgg19(path: Path | None, setting: str, layers: Sequence[str] = tuple(VGG19_WEIGHTS)) -> VGG19Features:
    """VGG19 from torchvision's file for ImageNet; its classifier, and what is beyond ``layers``, is not looked at."""

    def read(file: Path) -> VGG19Features:
        network = VGG19Features(layers)
        state = read_state(file)
        load_strictly(network, {key: state[key] for key in network.state_dict() if key in state}, str(file))
        return network.eval()

    return _read(read, path, setting, "VGG19 (vgg19-dcbb9e9d.pth)")


def read_arcface(path: Path | None, setting: str) -> ResNetArcFace:
    """GFP-GAN's identity network, see :func:`revisage.evaluation.metrics.networks.read_arcface`."""
    return _read(networks.read_arcface, path, setting, "ArcFace (arcface_resnet18.pth)")


def read_face_descriptor(path: Path | None, setting: str) -> DlibFaceNet:
    """The descriptor, see :func:`revisage.evaluation.metrics.networks.read_descriptor`."""
    return _read(networks.read_descriptor, path, setting, "DlibFaceNet")


def _read(read: Callable[[Path], Weights], path: Path | None, setting: str, name: str) -> Weights:
    if path is None:
        raise RecipeError(
            f"{setting} must name a file with weights of {name}: a loss that looks through it has a weight"
        )
    try:
        return read(weights_file(path))
    except WeightsError as error:
        raise RecipeError(f"{setting}: {error}") from error
