"""Discriminators: GFP-GAN's for whole faces and for eyes and mouth, and PatchGANs.

GFP-GAN's have the layers of StyleGAN2's discriminator (Karras et al. 2020, arXiv 1912.04958): filtered resampling,
equalised learning rate. They can be differentiated twice, as the R1 penalty (Mescheder et al. 2018, arXiv 1801.04406)
requires.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from revisage.models.nets.equalized import ConvLayer, EqualLinear, ResBlock
from revisage.models.nets.precision import accurate
from revisage.models.nets.resampling import TAPS, ResampleKernel
from revisage.models.nets.stylegan2_core import channels_by_resolution


class FacialComponentDiscriminator(nn.Module):
    """PatchGAN for crops of eyes and mouth (Wang et al. 2021, arXiv 2101.04061, section 3.4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvLayer(3, 64, 3)
        self.conv2 = ConvLayer(64, 128, 3, downsample=True)
        self.conv3 = ConvLayer(128, 128, 3)
        self.conv4 = ConvLayer(128, 256, 3, downsample=True)
        self.conv5 = ConvLayer(256, 256, 3)
        self.final_conv = ConvLayer(256, 1, 3, activate=False)

    def forward(self, x: Tensor, return_feats: bool = False) -> tuple[Tensor, list[Tensor] | None]:
        """Crops (N, 3, H, W) RGB in [-1, 1], H and W multiples of 4 -> logits (N, 1, H/4, W/4), high for real ones.

        With ``return_feats`` also features for the style loss, [(N, 128, H/2, W/2), (N, 256, H/4, W/4)]; else None.
        """
        middle = self.conv3(self.conv2(self.conv1(x)))
        coarse = self.conv5(self.conv4(middle))
        return self.final_conv(coarse), [middle, coarse] if return_feats else None


class StyleGAN2Discriminator(nn.Module):
    """Discriminator of whole images.

    Args:
        stddev_group: number of images that are compared with one another.
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
        """Images (N, 3, out_size, out_size), RGB in [-1, 1] -> logits (N, 1), high for real ones.

        ValueError: x has another size.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, self.out_size, self.out_size):
            raise ValueError(f"expected (N, 3, {self.out_size}, {self.out_size}), got {tuple(x.shape)}")
        features = self.conv_body(x)
        features = torch.cat([features, minibatch_stddev(features, self.stddev_group)], dim=1)
        return self.final_linear(self.final_conv(features).flatten(1))


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """Standard deviation over a batch (Karras et al. 2017, arXiv 1710.10196, section 3): one number a group.

    (N, C, H, W) -> (N, 1, H, W), constant in each image. A group has ``group`` images, or the next smaller number of
    which N is a multiple; image i belongs to the group i modulo the number of groups.
    """
    batch, _, height, width = x.shape
    size = next(size for size in range(min(batch, group), 0, -1) if batch % size == 0)
    grouped = x.to(accurate(x.dtype)).unflatten(0, (size, -1))
    spread = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return spread.to(x.dtype).repeat(size).view(batch, 1, 1, 1).expand(-1, -1, height, width)


class NLayerDiscriminator(nn.Module):
    """PatchGAN of RestoreFormer (Isola et al. 2017, arXiv 1611.07004); with three layers, of patches of 70x70 pixels.

    Batch normalisation compares the images of a batch: pass originals and restored ones separately.

    Args:
        ndf: channels of the first layer; doubled by each of the next, up to eightfold.
        n_layers: layers that halve the size.
    """

    def __init__(self, input_nc: int = 3, ndf: int = 64, n_layers: int = 3) -> None:
        super().__init__()
        widths = [ndf * min(2**layer, 8) for layer in range(n_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(input_nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for layer in range(1, n_layers + 1):
            stride = 2 if layer < n_layers else 1
            layers += [
                nn.Conv2d(widths[layer - 1], widths[layer], 4, stride, 1, bias=False),
                nn.BatchNorm2d(widths[layer]),
                nn.LeakyReLU(0.2),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(_init_nlayer)

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) in [-1, 1] -> logits (N, 1, about H / 2^n_layers - 2, about W / 2^n_layers - 2)."""
        return self.main(x)


def _init_nlayer(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.02)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017, arXiv 1611.07004) at several resolutions (Wang et al. 2018, arXiv 1711.11585).

    Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957) keeps it smooth. Small enough to train beside a small
    restorer.

    Args:
        width: channels of the first layer; doubled by each of the next two.
        scales: number of resolutions, each half of the one before.
    """

    def __init__(self, width: int = 32, scales: int = 2) -> None:
        super().__init__()
        self.judges = nn.ModuleList(_patch_logits(width) for _ in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB in [-1, 1] -> logits of each scale k, (N, 1, H / 2^(k+3), W / 2^(k+3)); high is real."""
        logits: list[Tensor] = []
        for judge in self.judges:
            if logits:
                x = F.avg_pool2d(x, 2)
            logits.append(judge(x))
        return logits


def _patch_logits(width: int) -> nn.Sequential:
    channels = (3, width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
    layers += [spectral_norm(nn.Conv2d(channels[3], channels[3], 3, 1, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels[3], 1, 3, 1, 1)))
