"""The original StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) and its bilinear variants, without and with conditions.

Both have the same parameters under the same keys; they differ in how they change sizes (see ``resampling``). Every
layer that does takes ``resample_kernel``: the taps of a filter, or "bilinear" for the bilinear variants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.equalized import EqualLinear, FusedLeakyReLU
from revisage.models.nets.modulation import ModulatedConv, ModulatedToRGB, SampleMode
from revisage.models.nets.resampling import TAPS, InterpolationMode, ResampleKernel, Resampling, resampling
from revisage.models.nets.stylegan2_core import NormStyleCode, StyleGAN2Core


class ModulatedConv2d(ModulatedConv):
    """Modulated convolution; arguments as for the clean one.

    ``resample_kernel`` is how the size is doubled or halved on the way, not before.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        num_style_feat: int,
        demodulate: bool = True,
        sample_mode: SampleMode = None,
        resample_kernel: ResampleKernel = TAPS,
        eps: float = 1e-8,
    ) -> None:
        modulation = EqualLinear(num_style_feat, in_channels, bias_init_val=1)
        super().__init__(
            modulation,
            torch.randn(1, out_channels, in_channels, kernel_size, kernel_size),
            _convolution(sample_mode, resampling(resample_kernel)),
            demodulate,
            eps,
            style_gain=modulation.scale,
            weight_gain=1 / math.sqrt(in_channels * kernel_size**2),
        )


def _convolution(sample_mode: SampleMode, resample: Resampling) -> Callable[[Tensor, Tensor], Tensor]:
    if sample_mode is None:
        return _convolve
    if sample_mode == "upsample":
        return resample.conv_up
    if sample_mode == "downsample":
        return partial(_convolve_down, resample)
    raise ValueError(f"sample_mode is None, 'upsample' or 'downsample', not {sample_mode!r}")


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


def _convolve_down(resample: Resampling, x: Tensor, weight: Tensor) -> Tensor:
    size = weight.shape[-1]
    stride, padding = resample.stride_and_padding(size)
    return F.conv2d(resample.before_down(x, size), weight, stride=stride, padding=padding)


class StyleConv(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU. Arguments as for ``ModulatedConv2d``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        num_style_feat: int,
        demodulate: bool = True,
        sample_mode: SampleMode = None,
        resample_kernel: ResampleKernel = TAPS,
    ) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(
            in_channels, out_channels, kernel_size, num_style_feat, demodulate, sample_mode, resample_kernel
        )
        self.weight = nn.Parameter(torch.zeros(1))  # strength of the noise
        self.activate = FusedLeakyReLU(out_channels)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """(N, in, H, W), (N, num_style_feat), noise (1 or N, 1, H', W') -> (N, out, H', W')."""
        y = self.modulated_conv(x, style)
        return self.activate(y + (self.weight * noise).to(y.dtype))


class ToRGB(ModulatedToRGB):
    """Features to colors, added to the colors of the level below; ``resample_kernel`` doubles their size."""

    def __init__(
        self, in_channels: int, num_style_feat: int, upsample: bool = True, resample_kernel: ResampleKernel = TAPS
    ) -> None:
        modulated_conv = ModulatedConv2d(in_channels, 3, 1, num_style_feat, demodulate=False)
        super().__init__(modulated_conv, resampling(resample_kernel).enlarge if upsample else None)


class StyleGAN2Generator(StyleGAN2Core):
    """StyleGAN2 as published. Weights: ``load_state_dict``, official keys.

    Args, besides those of ``StyleGAN2GeneratorClean``:
        resample_kernel: taps of the filter, or an interpolation.
        lr_mlp: learning rate of the mapping network relative to the rest.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        channel_multiplier: float = 2,
        resample_kernel: ResampleKernel = TAPS,
        lr_mlp: float = 0.01,
        narrow: float = 1,
        sft_half: bool = False,
    ) -> None:
        linear = partial(EqualLinear, num_style_feat, num_style_feat, lr_mul=lr_mlp, activation="fused_lrelu")
        shared = {"num_style_feat": num_style_feat, "resample_kernel": resample_kernel}
        super().__init__(
            out_size,
            num_style_feat,
            channel_multiplier,
            narrow,
            style_mlp=nn.Sequential(NormStyleCode(), *(linear() for _ in range(num_mlp))),
            style_conv=partial(StyleConv, kernel_size=3, **shared),
            to_rgb=partial(ToRGB, **shared),
            sft_half=sft_half,
        )


class StyleGAN2GeneratorSFT(StyleGAN2Generator):
    """``StyleGAN2Generator`` that expects conditions; the name that GFP-GAN gives it."""


class StyleGAN2GeneratorBilinear(StyleGAN2Generator):
    """StyleGAN2 that interpolates where the original filters, with the same arguments and keys."""

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        channel_multiplier: float = 2,
        lr_mlp: float = 0.01,
        narrow: float = 1,
        interpolation_mode: InterpolationMode = "bilinear",
        sft_half: bool = False,
    ) -> None:
        super().__init__(
            out_size, num_style_feat, num_mlp, channel_multiplier, interpolation_mode, lr_mlp, narrow, sft_half
        )


class StyleGAN2GeneratorBilinearSFT(StyleGAN2GeneratorBilinear):
    """``StyleGAN2GeneratorBilinear`` that expects conditions; the name that GFP-GAN gives it."""
