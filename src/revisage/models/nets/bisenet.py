"""BiSeNet (Yu et al. 2018, arXiv 1808.00897) as a face parser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.resnet import BasicBlock, ResNet

CLASSES = (
    *("background", "skin", "left brow", "right brow", "left eye", "right eye", "eye glasses", "left ear", "right ear"),
    *("earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat"),
)
"""Names of the 19 published channels."""


class ConvBNReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU; padding keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class BiSeNetOutput(nn.Module):
    """Features to logits, by way of ``mid_channels``."""

    def __init__(self, in_channels: int, mid_channels: int, num_class: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, mid_channels)
        self.conv_out = nn.Conv2d(mid_channels, num_class, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class AttentionRefinementModule(nn.Module):
    """Convolution, then channel attention by global means."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, out_channels)
        self.conv_atten = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x)
        return features * self.bn_atten(self.conv_atten(_mean(features))).sigmoid()


class ContextPath(nn.Module):
    """Context path: ResNet-18 down to 1/32, brought back up to 1/8."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet(BasicBlock, (2, 2, 2, 2))
        self.arm16 = AttentionRefinementModule(256, 128)
        self.arm32 = AttentionRefinementModule(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> details at 1/8 (128 channels), context at 1/8 and at 1/16 (128 channels each)."""
        fine, middle, coarse = self.resnet(x)
        context = self.arm32(coarse) + self.conv_avg(_mean(coarse))
        context16 = self.conv_head32(F.interpolate(context, size=middle.shape[2:], mode="nearest"))
        context = self.arm16(middle) + context16
        context8 = self.conv_head16(F.interpolate(context, size=fine.shape[2:], mode="nearest"))
        return fine, context8, context16


class FeatureFusionModule(nn.Module):
    """Joins details and context."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(in_channels, out_channels, 1)
        self.conv1 = nn.Conv2d(out_channels, out_channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(out_channels // 4, out_channels, 1, bias=False)

    def forward(self, details: Tensor, context: Tensor) -> Tensor:
        features = self.convblk(torch.cat([details, context], dim=1))
        return features + features * self.conv2(F.relu(self.conv1(_mean(features)))).sigmoid()


class BiSeNet(nn.Module):
    """The parser."""

    def __init__(self, num_class: int = 19) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusionModule(256, 256)
        self.conv_out = BiSeNetOutput(256, 256, num_class)
        self.conv_out16 = BiSeNetOutput(128, 64, num_class)
        self.conv_out32 = BiSeNetOutput(128, 64, num_class)

    def forward(self, x: Tensor, return_feat: bool = False) -> tuple[Tensor, ...]:
        """Aligned faces (N, 3, H, W) RGB, normalised as for ImageNet -> logits (N, num_class, H, W) as ``CLASSES``.

        Two more are from the context alone, for training; with ``return_feat`` also the features of all three, (N, 256
        or 128, H, W).
        """
        details, context8, context16 = self.cp(x)
        features = (self.ffm(details, context8), context8, context16)
        outputs = [conv(f) for conv, f in zip((self.conv_out, self.conv_out16, self.conv_out32), features, strict=True)]
        size = x.shape[2:]
        return tuple(_enlarge(y, size) for y in (*outputs, *(features if return_feat else ())))


def _mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=True)
