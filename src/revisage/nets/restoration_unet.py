"""RestorationUNet: the small network that the package carries.

A residual U-Net without normalisation layers that works on a pixel-unshuffled picture and predicts the correction to
its input (residual learning: Zhang et al. 2017, arXiv 1608.03981; unshuffle/shuffle at the borders: Shi et al. 2016,
arXiv 1609.05158). No normalisation: the result does not depend on the batch, and colours are not re-centred.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from revisage.nets.precision import accurate


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
    """Restores an aligned face.

    Args:
        widths: channels of each level, finest first; each level halves the resolution.
        blocks: residual blocks of each level in the encoder; the decoder mirrors all but the last (coarsest) level.
        unshuffle: the finest level works at 1/unshuffle of the picture's resolution.
        caution: root mean square, in units of the picture, of a correction that is taken half way. A picture that needs
            little is nearly good, and what is added to it is as often wrong as right; so small corrections are taken
            less far, in use though not in training, which would learn to make up for it. 0: all are taken whole.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 112, 160, 160),
        blocks: Sequence[int] = (1, 2, 2, 2, 2),
        unshuffle: int = 2,
        caution: float = 0.0,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"widths and blocks describe the same levels, got {len(widths)} and {len(blocks)}")
        self.unshuffle = unshuffle
        self.caution = float(caution)
        self.multiple = unshuffle * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(3 * unshuffle**2, widths[0], 3, padding=1)
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
        """(N, 3, H, W) RGB in [-1, 1], H and W multiples of ``self.multiple`` -> the same shape, not clamped."""
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
        correction = F.pixel_shuffle(self.tail(features), self.unshuffle)
        if self.caution and not self.training:
            correction = correction * _trust(correction, self.caution)
        return x + correction


def _trust(correction: Tensor, caution: float) -> Tensor:
    """(N, C, H, W) -> (N, 1, 1, 1), how far each is taken: rises from 0 to 1 with its size, 1/2 at ``caution``."""
    relative = (correction.to(accurate(correction.dtype)) / caution).square().mean((1, 2, 3), keepdim=True).square()
    return (relative / (1 + relative)).to(correction.dtype)
