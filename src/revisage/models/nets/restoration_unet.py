"""RestorationUNet, a small network that restores images of any kind, and CoarseToFineUNet, two of them in a row.

A residual U-Net that works on a pixel-unshuffled image and predicts the correction to its input (residual learning:
Zhang et al. 2017, arXiv 1608.03981; unshuffle/shuffle at the borders: Shi et al. 2016, arXiv 1609.05158). By default
it has no normalization: the result does not depend on the batch, and colors are not re-centered.

Three options make it a network for aligned faces, where every position has a meaning. Position maps are learned
biases of single positions, the U-Net's counterpart of StyleGAN's constant input (Karras et al. 2018, arXiv
1812.04948). Self-attention relates distant positions, say the two eyes (Zhang et al. 2018, arXiv 1805.08318). Group
normalization (Wu and He 2018, arXiv 1803.08494) inside the residual blocks keeps deep levels stable.

A fourth option gives it noise to make texture of (StyleGAN's noise inputs, same paper). Without it a network whose loss
rewards texture draws a lattice, the only pattern that it can make of a smooth input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COARSE: Mapping[str, Any] = {
    "widths": (80, 144, 224, 256),
    "blocks": (2, 3, 3, 2),
    "position_sizes": (0, 32, 16, 8),
    "attention": (0, 0, 1, 1),
    "normalized": (False, False, False, True),
}
FINE: Mapping[str, Any] = {"widths": (32, 64, 96, 160, 160), "blocks": (1, 2, 2, 2, 2), "noise": 128}
"""The two halves of the embedded restorer."""


class ResidualBlock(nn.Module):
    """x + conv(act(conv(norm(x)))), both 3x3; starts as the identity. Without ``normalize`` there is no norm."""

    def __init__(self, channels: int, normalize: bool = False) -> None:
        super().__init__()
        self.norm = group_norm(channels) if normalize else nn.Identity()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.conv1.weight, a=0.2)
        nn.init.zeros_(self.conv2.weight)
        for conv in (self.conv1, self.conv2):
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(self.norm(x)), 0.2))


class SelfAttention(nn.Module):
    """x + project(attention(norm(x))) over all positions of the feature map; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = math.gcd(channels, 8)
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)
        if self.project.bias is not None:
            nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        rows = self.qkv(self.norm(x)).unflatten(1, (3, self.heads, -1)).flatten(-2).transpose(-1, -2)
        query, key, value = rows.unbind(1)  # (N, heads, H * W, C / heads) each
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.project(mixed.transpose(-1, -2).flatten(1, 2).unflatten(-1, x.shape[-2:]))


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalization with as many groups as the usual 32 and ``channels`` have in common."""
    return nn.GroupNorm(math.gcd(channels, 32), channels)


class RestorationUNet(nn.Module):
    """Corrects an image.

    Args:
        widths: channels of each level, finest first; each level halves the resolution.
        blocks: residual blocks of each level in the encoder; the decoder mirrors all but the last (coarsest) level.
        unshuffle: the finest level works at 1/unshuffle of the image's resolution.
        inputs: number of input images, one behind the other in the channels; the last one is corrected.
        position_sizes: height and width of the position map of each level; 0: the level has none. A map is added to the
            features that enter the encoder's level. Where they have another size, the map is resized.
        attention: self-attention blocks of each level, after the residual blocks of the encoder.
        normalized: whether each level has group normalization. The connection up from such a level starts at zero.
            Of these three, an empty sequence means none at any level.
        enlarge: how many times larger the correction is than the image.
        outputs: channels of the correction.
        noise: side of a tile of normal noise, one more channel of the input; 0: none. In training the noise is drawn
            afresh. In eval mode it is the tile, again and again, so that a result depends on nothing but the image.
            The tile is part of the state.
    """

    noise: Tensor | None

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 112, 160, 160),
        blocks: Sequence[int] = (1, 2, 2, 2, 2),
        unshuffle: int = 2,
        inputs: int = 1,
        position_sizes: Sequence[int] = (),
        attention: Sequence[int] = (),
        normalized: Sequence[bool] = (),
        enlarge: int = 1,
        outputs: int = 3,
        noise: int = 0,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"widths and blocks describe the same levels, got {len(widths)} and {len(blocks)}")
        options = {"position_sizes": position_sizes, "attention": attention, "normalized": normalized}
        for name, values in options.items():
            if len(values) not in (0, len(widths)):
                raise ValueError(f"widths and {name} describe the same levels, got {len(widths)} and {len(values)}")
        norms = [bool(value) for value in normalized] or [False] * len(widths)
        self.unshuffle = unshuffle
        self.multiple = unshuffle * 2 ** (len(widths) - 1)
        self.register_buffer("noise", torch.randn(1, 1, noise, noise) if noise else None)
        self.stem = nn.Conv2d((3 * inputs + bool(noise)) * unshuffle**2, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, norm) for _ in range(count)))
            for width, count, norm in zip(widths, blocks, norms, strict=True)
        )
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, norm) for _ in range(count)))
            for width, count, norm in zip(widths[:-1], blocks[:-1], norms[:-1], strict=True)
        )
        self.positions = nn.ParameterDict(
            {
                str(level): nn.Parameter(torch.zeros(1, widths[level], size, size))
                for level, size in enumerate(position_sizes)
                if size
            }
        )
        self.attention = nn.ModuleDict(
            {
                str(level): nn.Sequential(*(SelfAttention(widths[level]) for _ in range(count)))
                for level, count in enumerate(attention)
                if count
            }
        )
        self.shuffle = unshuffle * enlarge
        self.tail = nn.Conv2d(widths[0], outputs * self.shuffle**2, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)
        for up, norm in zip(self.up, norms[1:], strict=True):
            if norm:
                for parameter in up.parameters():
                    nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3 * inputs, H, W) RGB in [-1, 1], H and W multiples of ``self.multiple`` -> (N, 3, H, W), not clamped."""
        return x[:, -3:] + self.correction(x)

    def correction(self, x: Tensor) -> Tensor:
        """The correction alone: (N, 3 * inputs, H, W) -> (N, outputs, enlarge * H, enlarge * W)."""
        if x.shape[-2] % self.multiple or x.shape[-1] % self.multiple:
            raise ValueError(f"height and width must be multiples of {self.multiple}, got {tuple(x.shape[-2:])}")
        if self.noise is not None:
            x = torch.cat([x, self._draw_noise(x, self.noise)], 1)
        features = self._encode(0, self.stem(F.pixel_unshuffle(x, self.unshuffle)))
        skips: list[Tensor] = []
        for level, down in enumerate(self.down, 1):
            skips.append(features)
            features = self._encode(level, down(features))
        for up, level, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            # The 1x1 convolution commutes with the enlargement: do it where the image is small.
            enlarged = F.interpolate(up(features), scale_factor=2, mode="bilinear", align_corners=False)
            features = level(enlarged + skip)
        return F.pixel_shuffle(self.tail(features), self.shuffle)

    def _draw_noise(self, x: Tensor, tile: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 1, H, W)."""
        if self.training:
            return torch.randn_like(x[:, :1])
        height, width = x.shape[-2:]
        rows, columns = -(-height // tile.shape[-2]), -(-width // tile.shape[-1])
        return tile.to(x.dtype).repeat(1, 1, rows, columns)[..., :height, :width].expand(x.shape[0], -1, -1, -1)

    def _encode(self, level: int, features: Tensor) -> Tensor:
        """One level of the encoder, with its position map and attention if it has them."""
        key = str(level)
        if key in self.positions:
            position = self.positions[key]
            if position.shape[-2:] != features.shape[-2:]:
                position = F.interpolate(position, features.shape[-2:], mode="bilinear", align_corners=False)
            features = features + position
        features = self.encoder[level](features)
        return self.attention[key](features) if key in self.attention else features


class CoarseToFineUNet(nn.Module):
    """Restores an aligned face: first small, then at full size; the embedded restorer.

    A small image shows the structure of a face best: a network of a few layers sees all of it there, and badly degraded
    inputs hold no more anyway. So one network corrects the face at a fraction of its size, and a second one corrects it
    at full size, given the input and the first result (coarse to fine: Denton et al. 2015, arXiv 1506.05751).

    Args:
        coarse: constructor arguments of the :class:`RestorationUNet` that works on the small image.
        fine: constructor arguments of the one that works at full size, without ``inputs``, which are two.
        factor: the small image is this many times smaller.
    """

    def __init__(self, coarse: Mapping[str, Any] = COARSE, fine: Mapping[str, Any] = FINE, factor: int = 4) -> None:
        super().__init__()
        self.coarse = RestorationUNet(**coarse)
        self.fine = RestorationUNet(**fine, inputs=2)
        self.factor = factor
        self.multiple = math.lcm(self.fine.multiple, factor * self.coarse.multiple)

    def forward(self, x: Tensor, corners: Sequence[tuple[int, int]] | None = None, size: int = 0) -> Tensor:
        """Restore faces (N, 3, H, W) RGB in [-1, 1], or square parts of them in sight of the whole; not clamped.

        H and W are multiples of ``self.multiple``. ``corners`` are left and top of a part of each face, of ``size``
        pixels, a multiple of ``self.fine.multiple``; the result is (N, 3, size, size) then.
        """
        if x.shape[-2] % self.multiple or x.shape[-1] % self.multiple:
            raise ValueError(f"height and width must be multiples of {self.multiple}, got {tuple(x.shape[-2:])}")
        correction = self.coarse.correction(F.avg_pool2d(x, self.factor))
        seen = x + F.interpolate(correction, scale_factor=self.factor, mode="bilinear", align_corners=False)
        if corners is not None:
            x, seen = (crop_parts(images, corners, size) for images in (x, seen))
        return self.fine(torch.cat([x, seen], 1))


def crop_parts(images: Tensor, corners: Sequence[tuple[int, int]], size: int) -> Tensor:
    """Cut parts at (left, top) out of images: (N, 3, H, W) -> (N, 3, size, size)."""
    crops = [image[:, y : y + size, x : x + size] for image, (x, y) in zip(images, corners, strict=True)]
    return torch.stack(crops)
