"""FaceEmbedder: identity embeddings of 128 numbers for aligned faces.

A small residual network (He et al. 2015, arXiv 1512.03385) that ends in a convolution as large as its last map, as in
MobileFaceNet (Chen et al. 2018, arXiv 1804.07573): in an aligned face positions carry identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CANVAS = 136
"""Size to which whole aligned crops are resized, in pixels."""
SIZE = 80
"""Size of the network's input: the face from brow to chin."""
LEFT, TOP = 28, 39
"""Position of that part in the canvas."""
ELLIPSE = (38.0, 41.0), 0.15
"""Half axes of the ellipse of the face in pixels, and the share of them over which it fades."""
STRIDE = 16
"""Pixels from one position of the last map to the next."""


class ResidualBlock(nn.Module):
    """act(x + norm(conv(act(norm(conv(x)))))), both 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.conv2, self.norm2 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.act1, self.act2 = nn.PReLU(channels), nn.PReLU(channels)
        nn.init.zeros_(self.norm2.weight)  # begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.conv1(x)))
        return self.act2(x + self.norm2(self.conv2(y)))


class FaceEmbedder(nn.Module):
    """Identity embedder; an elliptical window hides hair, clothes and background.

    Args:
        widths: channels of each level, finest first; the first works at half the resolution of the input, and
            each later one halves again.
        blocks: residual blocks of each level.

    Raises:
        ValueError: widths and blocks do not describe four levels.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 80, 112),
        blocks: Sequence[int] = (1, 1, 2, 1),
        size: int = 128,
    ) -> None:
        super().__init__()
        if not len(widths) == len(blocks) == 4:
            raise ValueError(f"widths and blocks describe four levels, got {len(widths)} and {len(blocks)}")
        channels = [3, *widths]
        self.levels = nn.ModuleList(
            nn.Sequential(
                _conv(before, after, stride=2),
                nn.BatchNorm2d(after),
                nn.PReLU(after),
                *(ResidualBlock(after) for _ in range(count)),
            )
            for (before, after), count in zip(pairwise(channels), blocks, strict=True)
        )
        last = widths[-1]
        self.places = nn.Conv2d(last, last, SIZE // STRIDE, groups=last, bias=False)
        self.norm = nn.BatchNorm2d(last)
        self.head = nn.Linear(last, size)

    def forward(self, crops: Tensor) -> Tensor:
        """Whole aligned crops (N, 3, S, S), RGB in [-1, 1], of any size S -> embeddings (N, ``size``) of length 1.

        The product of two is their cosine similarity (ValueError: crops are not square RGB images).
        """
        x = inner_faces(crops) * face_window().to(crops)
        for level in self.levels:
            x = level(x)
        return F.normalize(self.head(self.norm(self.places(x)).flatten(1)).float())


def inner_faces(crops: Tensor) -> Tensor:
    """(N, 3, S, S) whole aligned crops of any size -> (N, 3, SIZE, SIZE): brow to chin, without aliasing."""
    if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] != crops.shape[3]:
        raise ValueError(f"expected square RGB images (N, 3, S, S), got {tuple(crops.shape)}")
    if crops.shape[-1] != CANVAS:
        crops = F.interpolate(crops, (CANVAS, CANVAS), mode="bilinear", align_corners=False, antialias=True)
    return crops[:, :, TOP : TOP + SIZE, LEFT : LEFT + SIZE]


def face_window() -> Tensor:
    """(1, 1, SIZE, SIZE) window: 1 within the ellipse of the face, 0 outside, smooth between."""
    (across, along), fade = ELLIPSE
    center = (SIZE - 1) / 2
    grid = torch.arange(SIZE, dtype=torch.float32) - center
    radius = ((grid / across).square()[None, :] + (grid / along).square()[:, None]).sqrt()
    return ((1 - radius) / fade).clamp(0, 1)[None, None]


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
