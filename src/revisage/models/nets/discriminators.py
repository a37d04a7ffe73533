"""The discriminators that GFP-GAN is trained against: one for the face, one each for eyes and mouth.

Layers as in StyleGAN2's discriminator (Karras et al. 2020, arXiv 1912.04958): filtered resampling, equalised learning
rate. They can be differentiated twice, as the R1 penalty (Mescheder et al. 2018, arXiv 1801.04406) requires.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from revisage.models.nets.equalized import ConvLayer, EqualLinear, ResBlock
from revisage.models.nets.precision import accurate
from revisage.models.nets.resampling import TAPS, ResampleKernel
from revisage.models.nets.stylegan2_core import channels_by_resolution


class FacialComponentDiscriminator(nn.Module):
    """Judges a crop of an eye or a mouth, patch by patch (Wang et al. 2021, arXiv 2101.04061, section 3.4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvLayer(3, 64, 3)
        self.conv2 = ConvLayer(64, 128, 3, downsample=True)
        self.conv3 = ConvLayer(128, 128, 3)
        self.conv4 = ConvLayer(128, 256, 3, downsample=True)
        self.conv5 = ConvLayer(256, 256, 3)
        self.final_conv = ConvLayer(256, 1, 3, activate=False)

    def forward(self, x: Tensor, return_feats: bool = False) -> tuple[Tensor, list[Tensor] | None]:
        """Crops -> logits, large where they look real.

        Args:
            x: (N, 3, H, W) RGB in [-1, 1], H and W multiples of 4.
            return_feats: also return the features of which the style is compared.

        Returns:
            (N, 1, H/4, W/4); None or features [(N, 128, H/2, W/2), (N, 256, H/4, W/4)].
        """
        middle = self.conv3(self.conv2(self.conv1(x)))
        coarse = self.conv5(self.conv4(middle))
        return self.final_conv(coarse), [middle, coarse] if return_feats else None


class StyleGAN2Discriminator(nn.Module):
    """Judges a whole picture.

    Args:
        out_size: side of the picture, a power of two from 8 to 1024.
        channel_multiplier: multiplies the channels from 64x64 on.
        resample_kernel: taps of the filter, one axis.
        stddev_group: pictures that are compared with one another.
        narrow: multiplies all channels.
    """

    def __init__(
        self,
        out_size: int,
        channel_multiplier: float = 2,
        resample_kernel: ResampleKernel = TAPS,
        stddev_group: int = 4,
        narrow: float = 1,
    ) -> None:
        super().__init__()
        channels = channels_by_resolution(channel_multiplier, narrow)
        if out_size not in channels or out_size < 8:
            raise ValueError(f"out_size is a power of two from 8 to 1024, not {out_size}")
        self.out_size = out_size
        self.stddev_group = stddev_group
        falling = [channels[2**i] for i in range(int(math.log2(out_size)), 1, -1)]
        self.conv_body = nn.Sequential(
            ConvLayer(3, falling[0], 1),
            *(ResBlock(fine, coarse, resample_kernel) for fine, coarse in pairwise(falling)),
        )
        self.final_conv = ConvLayer(falling[-1] + 1, falling[-1], 3)
        self.final_linear = nn.Sequential(
            EqualLinear(falling[-1] * 16, falling[-1], activation="fused_lrelu"), EqualLinear(falling[-1], 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pictures -> logits, large where they look real.

        Args:
            x: (N, 3, out_size, out_size) RGB in [-1, 1]; N a multiple of ``stddev_group`` or less than it.

        Returns:
            (N, 1).

        Raises:
            ValueError: x has another size, or N leaves pictures without a group.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, self.out_size, self.out_size):
            raise ValueError(f"expected (N, 3, {self.out_size}, {self.out_size}), got {tuple(x.shape)}")
        features = self.conv_body(x)
        features = torch.cat([features, minibatch_stddev(features, self.stddev_group)], dim=1)
        return self.final_linear(self.final_conv(features).flatten(1))


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """How much the pictures of a batch differ (Karras et al. 2017, arXiv 1710.10196, section 3): one number a group.

    Args:
        x: (N, C, H, W).
        group: pictures of a group, at most N; picture i belongs to the group i modulo N / group.

    Returns:
        (N, 1, H, W), constant in each picture.

    Raises:
        ValueError: N is no multiple of the group.
    """
    batch, _, height, width = x.shape
    size = min(batch, group)
    if batch % size:
        raise ValueError(f"a batch of {batch} cannot be divided into groups of {size} pictures")
    grouped = x.to(accurate(x.dtype)).unflatten(0, (size, -1))
    spread = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return spread.to(x.dtype).repeat(size).view(batch, 1, 1, 1).expand(-1, -1, height, width)
