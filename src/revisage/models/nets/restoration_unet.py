"""RestorationUNet: a small network that works on pictures of any kind.

A residual U-Net without normalisation layers that works on a pixel-unshuffled picture and predicts the correction to
its input (residual learning: Zhang et al. 2017, arXiv 1608.03981; unshuffle/shuffle at the borders: Shi et al. 2016,
arXiv 1609.05158). No normalisation: the result does not depend on the batch, and colours are not re-centred.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """x + conv(act(conv(x))), both 3x3; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.conv1.weight, a=0.2)
        nn.init.zeros_(self.conv2.weight)
        for conv in (self.conv1, self.conv2):
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(x), 0.2))


class RestorationUNet(nn.Module):
    """Corrects a picture.

    Args:
        widths: channels of each level, finest first; each level halves the resolution.
        blocks: residual blocks of each level in the encoder; the decoder mirrors all but the last (coarsest) level.
        unshuffle: the finest level works at 1/unshuffle of the picture's resolution.
        inputs: pictures that it is shown, one behind the other in the channels; the last is the one that it corrects.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 112, 160, 160),
        blocks: Sequence[int] = (1, 2, 2, 2, 2),
        unshuffle: int = 2,
        inputs: int = 1,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"widths and blocks describe the same levels, got {len(widths)} and {len(blocks)}")
        self.unshuffle = unshuffle
        self.multiple = unshuffle * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(3 * inputs * unshuffle**2, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.tail = nn.Conv2d(widths[0], 3 * unshuffle**2, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3 * inputs, H, W) RGB in [-1, 1], H and W multiples of ``self.multiple`` -> (N, 3, H, W), not clamped."""
        return x[:, -3:] + self.correction(x)

    def correction(self, x: Tensor) -> Tensor:
        """What is to be added: (N, 3 * inputs, H, W) -> (N, 3, H, W)."""
        if x.shape[-2] % self.multiple or x.shape[-1] % self.multiple:
            raise ValueError(f"height and width must be multiples of {self.multiple}, got {tuple(x.shape[-2:])}")
        features = self.encoder[0](self.stem(F.pixel_unshuffle(x, self.unshuffle)))
        skips: list[Tensor] = []
        for down, level in zip(self.down, list(self.encoder)[1:], strict=True):
            skips.append(features)
            features = level(down(features))
        for up, level, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            # The 1x1 convolution commutes with the enlargement: do it where the picture is small.
            enlarged = F.interpolate(up(features), scale_factor=2, mode="bilinear", align_corners=False)
            features = level(enlarged + skip)
        return F.pixel_shuffle(self.tail(features), self.unshuffle)
