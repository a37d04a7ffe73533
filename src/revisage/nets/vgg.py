"""Features of VGG16 (Simonyan and Zisserman 2014, arXiv 1409.1556) for perceptual losses and distances."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the convolutions of each stage; a stage ends where the picture is halved."""


class VGG16Features(nn.Module):
    """The convolutions of VGG16, named ``conv{stage}_{place}`` as in the paper's Caffe release.

    Args:
        stages: how many stages to build, 1..5; fewer cost less.
        mean: what is subtracted from B, G, R in 0..255, the Caffe convention.
    """

    mean: Tensor

    def __init__(self, stages: int = 5, mean: tuple[float, float, float] = (104.00699, 116.66877, 122.67892)) -> None:
        super().__init__()
        channels = 3
        for stage, widths in enumerate(STAGES[:stages], 1):
            for place, width in enumerate(widths, 1):
                self.add_module(f"conv{stage}_{place}", nn.Conv2d(channels, width, 3, padding=1))
                channels = width
        self.stages = stages
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB in [-1, 1] -> for each stage the map after its last ReLU, (N, C, H / 2^k, W / 2^k)."""
        x = (x.flip(1) + 1) * 127.5 - self.mean
        features: list[Tensor] = []
        for stage, widths in enumerate(STAGES[: self.stages], 1):
            if features:
                x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            for place in range(1, len(widths) + 1):
                x = F.relu(self.get_submodule(f"conv{stage}_{place}")(x))
            features.append(x)
        return features
