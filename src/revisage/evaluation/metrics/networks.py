"""The networks behind metrics: read from published weight files, and applied to images.

Every ``read_...`` returns a frozen network in eval mode on the CPU, and raises MissingWeightsError if there is no such
file and CheckpointError if it holds something else. Every other function takes such a network, on any device, and
aligned faces (S, S, 3) uint8 RGB of one size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.evaluation.arrays import read_arrays
from revisage.evaluation.metrics.image import RGB8
from revisage.images.pixels import to_float, to_nchw
from revisage.models.build import read_state
from revisage.models.checkpoint import check_fit
from revisage.models.nets.arcface import ResNetArcFace, gray_faces
from revisage.models.nets.dlib_face_net import DlibFaceNet, chips
from revisage.models.nets.inception import InceptionV3
from revisage.models.nets.vgg import IMAGENET_MEAN, IMAGENET_STD, STAGES, VGG16Features

Network = TypeVar("Network", bound=nn.Module)
Vectors = list[NDArray[np.floating]]
"""(D,) a face or image."""

_DESCRIPTOR_PARTS = {
    "conv/filters": "conv.weight",
    "conv/bias": "conv.bias",
    "scale/weights": "scale",
    "scale/biases": "shift",
}


def read_vgg16(path: Path, stages: int = 5) -> VGG16Features:
    """VGG16 from Caffe's names in ``.npz`` (``conv1_1.weight``) or torchvision's file (``features.0.weight``).

    Of the ``stages`` to build, 1..5; other entries than the convolutions are ignored.
    """
    state = _state(path)
    if "features.0.weight" in state:
        # torchvision's convention, mean and deviation of RGB in 0..1, becomes Caffe's, mean of BGR in 0..255: the
        # deviations go into the first convolution. Its pooling drops odd rests, which Caffe's keeps.
        mean = [255 * value for value in reversed(IMAGENET_MEAN)]
        network = VGG16Features(stages, (mean[0], mean[1], mean[2]), ceil_mode=False)
        state = _caffe_names(state)
        deviation = 255 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
        state["conv1_1.weight"] = (state["conv1_1.weight"] / deviation).flip(1)
    else:
        network = VGG16Features(stages)
    chosen = {key: state[key] for key in network.state_dict() if key in state}
    return _freeze(network, chosen, path)


def read_channel_weights(path: Path) -> list[Tensor]:
    """The published weights of LPIPS on VGG16 (``lin0.model.1.weight`` to ``lin4...``): (C,) a stage."""
    state = _state(path)
    weights: list[Tensor] = []
    for stage, widths in enumerate(STAGES):
        found = state.get(f"lin{stage}.model.1.weight")
        if found is None or found.numel() != widths[-1]:
            raise CheckpointError(f"{path} holds no LPIPS weights for VGG16: lin{stage} is missing or of another size")
        weights.append(found.flatten().float())
    return weights


def read_descriptor(path: Path) -> DlibFaceNet:
    """Dlib's face descriptor: our own keys, or ``.npz`` of 8-bit arrays under dlib's names with their scales."""
    network = DlibFaceNet()
    state = _state(path)
    if "conv32_down/conv/filters" in state:
        state = dict(_descriptor_entry(name, value) for name, value in state.items())
    return _freeze(network, state, path)


def read_arcface(path: Path) -> ResNetArcFace:
    """The published identity network of GFP-GAN (``arcface_resnet18.pth``: four layers of two IRBlocks)."""
    state = _state(path)
    use_se = any(".se." in key for key in state)
    return _freeze(ResNetArcFace("IRBlock", (2, 2, 2, 2), use_se), state, path)


def read_inception(path: Path) -> InceptionV3:
    """The network of the Fréchet inception distance (``pt_inception-2015-12-05-6726825d.pth``)."""
    with torch.device("meta"):
        network = InceptionV3()
    # Batch counters are unused, and not in all copies of the file.
    counters = {key: torch.tensor(0) for key in network.state_dict() if key.endswith("num_batches_tracked")}
    return _freeze(network, counters | _state(path), path)


def image_batch(images: Sequence[RGB8], network: nn.Module) -> Tensor:
    """(H, W, 3) uint8 RGB images of one size -> (N, 3, H, W) in [-1, 1], on the network's device."""
    batch = torch.from_numpy(to_nchw([to_float(image) for image in images]))
    return batch.to(next(network.parameters()).device)


@torch.inference_mode()
def vgg_features(network: VGG16Features, images: Sequence[RGB8]) -> list[list[Tensor]]:
    """Images of any size -> for each image a map (1, C, H / 2^k, W / 2^k) a stage, on the network's device."""
    stages = network(image_batch(images, network))
    return [[stage[index : index + 1] for stage in stages] for index in range(len(images))]


@torch.inference_mode()
def describe_faces(network: DlibFaceNet, images: Sequence[RGB8]) -> Vectors:
    """Aligned faces -> (128,) face descriptors."""
    return list(network(chips(image_batch(images, network), size=images[0].shape[0])).cpu().numpy())


@torch.inference_mode()
def embed_faces(network: ResNetArcFace, images: Sequence[RGB8]) -> Vectors:
    """Aligned faces -> (512,) ArcFace embeddings of their luma, as in GFP-GAN's identity loss."""
    return list(network(gray_faces(image_batch(images, network))).cpu().numpy())


@torch.inference_mode()
def inception_features(network: InceptionV3, images: Sequence[RGB8]) -> Vectors:
    """Images of any size -> (2048,) features, for the Fréchet inception distance."""
    return list(network(image_batch(images, network)).cpu().numpy())


def _state(path: Path) -> dict[str, Tensor]:
    """Tensors of any weight file: ``.npz``, ``.safetensors``, ``.pth``."""
    if not path.is_file():
        raise MissingWeightsError(f"no weight file at {path}")
    return _arrays(path) if path.suffix.lower() == ".npz" else read_state(path)


def _arrays(path: Path) -> dict[str, Tensor]:
    """Arrays of an ``.npz`` file in float32.

    An array ``quantisation`` is JSON: for some of the others ``scale`` and ``min``; they are value * scale + min.
    """
    arrays = read_arrays(path)
    try:
        ranges = json.loads(str(arrays.pop("quantisation", "{}")))
        state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        return state | {name: state[name] * entry["scale"] + entry["min"] for name, entry in ranges.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} does not hold arrays of weights ({type(error).__name__}: {error})") from error


def _caffe_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``features.0`` ... -> ``conv1_1`` ...: torchvision counts convolutions, ReLUs and poolings alike."""
    named: dict[str, Tensor] = {}
    index = 0
    for stage, widths in enumerate(STAGES, 1):
        for layer in range(1, len(widths) + 1):
            for part in ("weight", "bias"):
                if f"features.{index}.{part}" in state:
                    named[f"conv{stage}_{layer}.{part}"] = state[f"features.{index}.{part}"].float()
            index += 2
        index += 1
    return named


def _descriptor_entry(name: str, value: Tensor) -> tuple[str, Tensor]:
    """``conv64_1/conv2/scale/biases`` -> ``units.conv64_1.conv2.shift``, and the value in PyTorch's order."""
    if name.count("/") < 2:  # fc, or an unknown entry
        return name, value
    layer, *inner, kind, part = name.split("/")
    unit = ["stem"] if layer == "conv32_down" else ["units", layer]
    key = ".".join([*unit, *inner, _DESCRIPTOR_PARTS.get(f"{kind}/{part}", part)])
    if part == "filters":
        value = value.permute(3, 2, 0, 1).contiguous()  # (height, width, in, out)
    elif kind == "scale":
        value = value.view(-1, 1, 1)
    return key, value


def _freeze(network: Network, state: Mapping[str, Tensor], path: Path) -> Network:
    check_fit(network, state, str(path))
    network.load_state_dict(dict(state), assign=True)
    channels_last: Any = {"memory_format": torch.channels_last}  # faster on CPUs; to() has no overload for it alone
    return network.float().requires_grad_(False).eval().to(**channels_last)
