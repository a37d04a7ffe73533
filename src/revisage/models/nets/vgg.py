"""Features of VGG16 and VGG19 (Simonyan and Zisserman 2014, arXiv 1409.1556) for perceptual losses and distances."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the convolutions of each stage of VGG16; the map is halved after each stage."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R, G, B in [0, 1]; VGG19's convention."""


class VGG16Features(nn.Module):
    """The convolutions of VGG16, named ``conv{stage}_{index}`` as in the paper's Caffe release.

    Args:
        stages: how many stages to build, 1..5; fewer cost less.
        mean: subtracted from B, G, R in 0..255, the Caffe convention.
        ceil_mode: an odd width or height is rounded up when it is halved, as in Caffe.
    """

    mean: Tensor

    def __init__(
        self,
        stages: int = 5,
        mean: tuple[float, float, float] = (104.00699, 116.66877, 122.67892),
        ceil_mode: bool = True,
    ) -> None:
        super().__init__()
        self.ceil_mode = ceil_mode
        channels = 3
        for stage, widths in enumerate(STAGES[:stages], 1):
            for index, width in enumerate(widths, 1):
                self.add_module(f"conv{stage}_{index}", nn.Conv2d(channels, width, 3, padding=1))
                channels = width
        self.stages = stages
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB in [-1, 1] -> for each stage the map after its last ReLU, (N, C, H / 2^k, W / 2^k)."""
        x = (x.flip(1) + 1) * 127.5 - self.mean
        features: list[Tensor] = []
        for stage, widths in enumerate(STAGES[: self.stages], 1):
            if features:
                x = F.max_pool2d(x, 2, 2, ceil_mode=self.ceil_mode)
            for index in range(1, len(widths) + 1):
                x = F.relu(self.get_submodule(f"conv{stage}_{index}")(x))
            features.append(x)
        return features


class VGG19Features(nn.Module):
    """Convolutions of VGG19 before their ReLU, for GFP-GAN's perceptual and style losses; not trained.

    Keys are those of the weights for ImageNet that torchvision publishes (``features.{index}``), without the classifier
    and the layers beyond the last requested one.

    Args:
        layers: names ``conv{stage}_{index}``, in ascending order.

    Raises:
        ValueError: VGG19 has no such layer, or they are out of order.
    """

    def __init__(self, layers: Sequence[str] = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")) -> None:
        super().__init__()
        stack, indices = _vgg19()
        unknown = [name for name in layers if name not in indices]
        if unknown or not layers:
            raise ValueError(f"layers of VGG19 are {', '.join(indices)}, not {', '.join(unknown) or 'none'}")
        self.wanted = [indices[name] for name in layers]
        if self.wanted != sorted(set(self.wanted)):
            raise ValueError(f"layers are named once each and in ascending order, not {', '.join(layers)}")
        self.features = nn.Sequential(*stack[: self.wanted[-1] + 1]).requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB in [-1, 1] -> one map a layer, (N, C, H / 2^k, W / 2^k)."""
        mean, std = (x.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        x = ((x + 1) / 2 - mean) / std
        maps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.wanted:
                maps.append(x)
        return maps


def _vgg19() -> tuple[list[nn.Module], dict[str, int]]:
    """All convolutions, ReLUs and poolings in order, and the indices of the convolutions by name."""
    stack: list[nn.Module] = []
    indices: dict[str, int] = {}
    channels = 3
    for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)), 1):
        for number in range(1, count + 1):
            indices[f"conv{stage}_{number}"] = len(stack)
            stack += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        stack.append(nn.MaxPool2d(2))
    return stack, indices
