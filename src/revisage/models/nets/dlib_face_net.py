"""DlibFaceNet: identity embeddings of 128 numbers, the 29-layer residual network of dlib (Davis King, CC0).

Close relative of ResNet-34 with fewer layers and half the filters (He et al. 2015, arXiv 1512.03385), trained with a
metric loss: embeddings of one person lie within about 0.6 of each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 150
"""Size of the chip, the network's input, in pixels."""
CHIP_SCALE, CHIP_SHIFT = 0.438, (-38.7, -62.6)
"""Chip from aligned crop of 512 pixels: x' = CHIP_SCALE x + CHIP_SHIFT[0], y' = CHIP_SCALE y + CHIP_SHIFT[1]."""
CHIP_EXTENT = (88.0, 142.0), (429.0, 484.0)
"""(left, top), (right, bottom) of the chip, in pixels of a crop of 512."""
BLOCKS = (
    "conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3", "conv128_down",
    "conv128_1", "conv128_2", "conv256_down", "conv256_1", "conv256_2", "conv256_down_out",
)  # fmt: skip


class ScaledConv2d(nn.Module):
    """Convolution, then a learnt scale and shift of each channel."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding)
        self.scale = nn.Parameter(torch.ones(out_channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.scale + self.shift


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions beside a skip; where it halves, the skip is averaged and padded where it does not fit."""

    def __init__(self, in_channels: int, out_channels: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.conv1 = ScaledConv2d(in_channels, out_channels, 3, 2 if halve else 1, 0 if halve else 1)
        self.conv2 = ScaledConv2d(out_channels, out_channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        skip = F.avg_pool2d(x, 2) if self.halve else x
        shape = [max(a, b) for a, b in zip(y.shape[1:], skip.shape[1:], strict=True)]
        return F.relu(_pad(y, shape) + _pad(skip, shape))


class DlibFaceNet(nn.Module):
    """Identity embedder for face chips; images of one person give vectors that are close (Euclidean)."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = ScaledConv2d(3, 32, 7, 2, 0)
        self.units = nn.ModuleDict()
        channels = 32
        for name in BLOCKS:
            width = int(name.removeprefix("conv").split("_")[0])
            self.units[name] = ResidualUnit(channels, width, "down" in name)
            channels = width
        self.fc = nn.Parameter(torch.zeros(channels, 128))
        self.register_buffer("mean", torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 150, 150) RGB in 0..255 -> (N, 128), not normalised."""
        x = F.max_pool2d(F.relu(self.stem((x - self.mean) / 256)), 3, 2)
        for unit in self.units.values():
            x = unit(x)
        return x.mean((2, 3)) @ self.fc


def chips(crops: Tensor, *, size: int = 512, corner: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Cut the chips for :class:`DlibFaceNet` out of aligned crops, or out of parts of them; differentiable.

    (N, 3, H, W) RGB in [-1, 1] -> (N, 3, 150, 150) RGB in 0..255; beyond the border the image is mirrored. ``size`` is
    that of the whole crop, ``corner`` the (left, top) of the part within it.
    """
    ratio = size / 512
    step = 1 / (CHIP_SCALE / ratio)  # pixels of the crop in one pixel of the chip
    smooth = _blur(crops, 0.4 * step) if step > 1.25 else crops  # sampling alone would alias
    height, width = crops.shape[-2:]
    grid = torch.arange(SIZE, device=crops.device, dtype=torch.float32)
    xs = (grid - CHIP_SHIFT[0]) / CHIP_SCALE * ratio - corner[0]
    ys = (grid - CHIP_SHIFT[1]) / CHIP_SCALE * ratio - corner[1]
    grid_xy = torch.stack(torch.meshgrid(2 * ys / (height - 1) - 1, 2 * xs / (width - 1) - 1, indexing="ij")[::-1], -1)
    grid_xy = grid_xy.to(crops.dtype).expand(len(crops), -1, -1, -1)
    cut = F.grid_sample(smooth, grid_xy, mode="bilinear", padding_mode="reflection", align_corners=True)
    return (cut + 1) * 127.5


def shows_chip(corner: tuple[float, float], part: int, *, size: int = 512) -> bool:
    """Whether the square of ``part`` pixels at ``corner`` (left, top) of an aligned crop of ``size`` holds the chip."""
    ratio = size / 512
    spans = zip(corner, *CHIP_EXTENT, strict=True)
    return all(start <= low * ratio and high * ratio <= start + part for start, low, high in spans)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = max(int(4 * sigma + 0.5), 1)
    taps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    padded = F.pad(x, (radius, radius, radius, radius), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel[:, :, None], groups=3), kernel[..., None], groups=3)


def _pad(x: Tensor, shape: list[int]) -> Tensor:
    """``x`` with zeros at the end of channels, rows and columns, up to ``shape``."""
    missing = [wanted - have for wanted, have in zip(shape, x.shape[1:], strict=True)]
    return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x
