"""ParseNet: a face parser of 19 classes (``CLASSES``, CelebAMask-HQ), an encoder-decoder of residual blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = (
    *("background", "skin", "nose", "eye glasses", "left eye", "right eye", "left brow", "right brow", "left ear"),
    *("right ear", "mouth", "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "cloth"),
)
"""Names of the 19 published channels."""

Scale = Literal["none", "up", "down"]


class NormLayer(nn.Module):
    """Batch norm, or nothing."""

    def __init__(self, channels: int, norm_type: Literal["bn", "none"] = "bn") -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels) if norm_type == "bn" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ConvLayer(nn.Module):
    """Convolution with reflected borders, norm and leaky ReLU.

    Args:
        kernel_size: odd; padding keeps the size.
        scale: double ("up", repeating pixels first) or halve ("down", by a stride) the size.
        norm_type: batch norm or none; the convolution has a bias without it.
        relu_type: leaky ReLU or none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        scale: Scale = "none",
        norm_type: Literal["bn", "none"] = "none",
        relu_type: Literal["LeakyReLU", "none"] = "none",
    ) -> None:
        super().__init__()
        self.scale = scale
        self.padding = [kernel_size // 2] * 4
        stride = 2 if scale == "down" else 1
        self.conv2d = nn.Conv2d(in_channels, out_channels, kernel_size, stride, bias=norm_type != "bn")
        self.norm = NormLayer(out_channels, norm_type)
        self.relu = nn.LeakyReLU(0.2) if relu_type == "LeakyReLU" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        if self.scale == "up":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.relu(self.norm(self.conv2d(F.pad(x, self.padding, mode="reflect"))))


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut, without activation at the end. Arguments as for ``ConvLayer``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale: Scale = "none",
        norm_type: Literal["bn", "none"] = "bn",
        relu_type: Literal["LeakyReLU", "none"] = "LeakyReLU",
    ) -> None:
        super().__init__()
        plain = scale == "none" and in_channels == out_channels
        first: Scale = "up" if scale == "up" else "none"
        second: Scale = "down" if scale == "down" else "none"
        self.shortcut_func = nn.Identity() if plain else ConvLayer(in_channels, out_channels, scale=scale)
        self.conv1 = ConvLayer(in_channels, out_channels, 3, first, norm_type, relu_type)
        self.conv2 = ConvLayer(out_channels, out_channels, 3, second, norm_type)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        return self.shortcut_func(x) + self.conv2(self.conv1(x))


class ParseNet(nn.Module):
    """The parser (published with ``in_size`` and ``out_size`` 512).

    Args:
        in_size: size of the images that ``min_feat_size`` is meant for; others are taken too.
        out_size: size of the result, with the same freedom.
        min_feat_size: size of the features at the coarsest level.
        base_ch: channels of the finest level; each coarser one has twice as many.
        parsing_ch: classes.
        res_depth: residual blocks at the coarsest level.
        ch_range: fewest and most channels.
    """

    def __init__(
        self,
        in_size: int = 128,
        out_size: int = 128,
        min_feat_size: int = 32,
        base_ch: int = 64,
        parsing_ch: int = 19,
        res_depth: int = 10,
        relu_type: Literal["LeakyReLU", "none"] = "LeakyReLU",
        norm_type: Literal["bn", "none"] = "bn",
        ch_range: Sequence[int] = (32, 256),
    ) -> None:
        super().__init__()
        least, most = ch_range
        min_feat_size = min(in_size, min_feat_size)
        down, up = (int(math.log2(size // min_feat_size)) for size in (in_size, out_size))

        def channels(level: int) -> int:
            return min(max(int(base_ch * 2.0**level), least), most)

        def block(fine: int, coarse: int, scale: Scale = "none") -> ResidualBlock:
            return ResidualBlock(channels(fine), channels(coarse), scale, norm_type, relu_type)

        self.multiple = 2**down
        self.encoder = nn.Sequential(ConvLayer(3, base_ch), *(block(level, level + 1, "down") for level in range(down)))
        self.body = nn.Sequential(*(block(down, down) for _ in range(res_depth)))
        self.decoder = nn.Sequential(*(block(level, level - 1, "up") for level in range(down, down - up, -1)))
        self.out_img_conv = ConvLayer(channels(down - up), 3)
        self.out_mask_conv = ConvLayer(channels(down - up), parsing_ch)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Aligned faces (N, 3, H, W), RGB in [-1, 1], H and W multiples of ``self.multiple`` (else ValueError).

        Returns logits (N, parsing_ch, H, W) in the order of ``CLASSES``; the reconstructed image (N, 3, H, W).
        """
        if x.ndim != 4 or x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise ValueError(f"expected (N, 3, H, W), H and W multiples of {self.multiple}, got {tuple(x.shape)}")
        features = self.encoder(x)
        features = self.decoder(features + self.body(features))
        return self.out_mask_conv(features), self.out_img_conv(features)
