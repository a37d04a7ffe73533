"""GFP-GAN 1.0 (Wang et al. 2021, arXiv 2101.04061) on the original StyleGAN2, and its bilinear variant.

Half precision: the error is about 0.1 % of the image's norm in float16 and 1 % in bfloat16.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.equalized import ConvLayer, EqualConv2d, EqualLinear, ResBlock, ScaledLeakyReLU, activation
from revisage.models.nets.gfpgan import GFPGANCore, UNetLayers
from revisage.models.nets.resampling import TAPS, ResampleKernel
from revisage.models.nets.stylegan2_core import upsample2
from revisage.models.nets.stylegan2_fir import StyleGAN2GeneratorBilinearSFT, StyleGAN2GeneratorSFT


class ConvUpLayer(nn.Module):
    """Bilinear doubling of the size, convolution, activation.

    Args:
        bias: add a learned bias; it is part of the activation where there is one.
        bias_init_val: the bias at the start, where it belongs to the convolution.
        activate: leaky ReLU after the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        bias_init_val: float = 0,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = padding
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        own_bias = bias and not activate
        self.bias = nn.Parameter(torch.full((out_channels,), float(bias_init_val))) if own_bias else None
        self.activation = activation(out_channels, bias) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, 2H, 2W), if stride and padding keep the size."""
        y = F.conv2d(upsample2(x), self.weight * self.scale, self.bias, self.stride, self.padding)
        return self.activation(y)


class ResUpBlock(nn.Module):
    """Residual block that doubles the size, bilinearly."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(in_channels, in_channels, 3)
        self.conv2 = ConvUpLayer(in_channels, out_channels, 3, padding=1)
        self.skip = ConvUpLayer(in_channels, out_channels, 1, bias=False, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, 2H, 2W)."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


def _condition(in_channels: int, out_channels: int, bias: float) -> nn.Sequential:
    return nn.Sequential(
        EqualConv2d(in_channels, in_channels, 3, padding=1),
        ScaledLeakyReLU(0.2),
        EqualConv2d(in_channels, out_channels, 3, padding=1, bias_init_val=bias),
    )


def _layers(resample_kernel: ResampleKernel) -> UNetLayers:
    return UNetLayers(
        first=partial(ConvLayer, kernel_size=1),
        down=partial(ResBlock, resample_kernel=resample_kernel),
        final=partial(ConvLayer, kernel_size=3),
        up=ResUpBlock,
        to_rgb=partial(EqualConv2d, kernel_size=1),
        linear=EqualLinear,
        scale=partial(_condition, bias=1),
        shift=partial(_condition, bias=0),
    )


class GFPGANv1(GFPGANCore):
    """GFP-GAN 1.0 (published with channel_multiplier 1, input_is_latent, different_w and sft_half).

    Args, besides those of ``GFPGANv1Clean``:
        resample_kernel: taps of the filter, one axis.
        lr_mlp: learning rate of the mapping network relative to the rest.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        channel_multiplier: float = 1,
        resample_kernel: ResampleKernel = TAPS,
        fix_decoder: bool = True,
        num_mlp: int = 8,
        lr_mlp: float = 0.01,
        input_is_latent: bool = False,
        different_w: bool = False,
        narrow: float = 1,
        sft_half: bool = False,
    ) -> None:
        decoder = StyleGAN2GeneratorSFT(
            out_size, num_style_feat, num_mlp, channel_multiplier, resample_kernel, lr_mlp, narrow, sft_half
        )
        super().__init__(
            _layers(resample_kernel),
            decoder,
            out_size,
            channel_multiplier,
            narrow,
            fix_decoder,
            input_is_latent,
            different_w,
        )


class GFPGANBilinear(GFPGANCore):
    """``GFPGANv1`` that interpolates where the original filters, with the same arguments and keys.

    This is the form to train in on any device. It is turned into ``GFPGANv1Clean`` exactly by rescaling its weights;
    weights of ``GFPGANv1`` load, but mean something else here.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        channel_multiplier: float = 1,
        fix_decoder: bool = True,
        num_mlp: int = 8,
        lr_mlp: float = 0.01,
        input_is_latent: bool = False,
        different_w: bool = False,
        narrow: float = 1,
        sft_half: bool = False,
    ) -> None:
        decoder = StyleGAN2GeneratorBilinearSFT(
            out_size, num_style_feat, num_mlp, channel_multiplier, lr_mlp, narrow, sft_half=sft_half
        )
        super().__init__(
            _layers("bilinear"),
            decoder,
            out_size,
            channel_multiplier,
            narrow,
            fix_decoder,
            input_is_latent,
            different_w,
        )
