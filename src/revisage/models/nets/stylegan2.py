"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) in its "clean" form, without and with SFT conditions."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.modulation import ModulatedConv, ModulatedToRGB, SampleMode
from revisage.models.nets.stylegan2_core import NormStyleCode, StyleGAN2Core, downsample2, upsample2


class ModulatedConv2d(ModulatedConv):
    """Modulated convolution, after resizing.

    Args:
        kernel_size: odd; padding keeps the size.
        demodulate: give each output channel unit variance, for inputs of unit variance.
        sample_mode: resize the input by 2 or 1/2 first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        num_style_feat: int,
        demodulate: bool = True,
        sample_mode: SampleMode = None,
        eps: float = 1e-8,
    ) -> None:
        if sample_mode not in (None, "upsample", "downsample"):
            raise ValueError(f"sample_mode is None, 'upsample' or 'downsample', not {sample_mode!r}")
        modulation = nn.Linear(num_style_feat, in_channels)
        nn.init.kaiming_normal_(modulation.weight, nonlinearity="linear")
        nn.init.ones_(modulation.bias)
        fan_in = in_channels * kernel_size**2
        weight = torch.randn(1, out_channels, in_channels, kernel_size, kernel_size) / math.sqrt(fan_in)
        super().__init__(modulation, weight, partial(_resize_and_convolve, sample_mode), demodulate, eps)
        self.kernel_size = kernel_size
        self.sample_mode = sample_mode


def _resize_and_convolve(sample_mode: SampleMode, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if sample_mode == "upsample":
        x = upsample2(x)
    elif sample_mode == "downsample":
        x = downsample2(x)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


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
    ) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(
            in_channels, out_channels, kernel_size, num_style_feat, demodulate, sample_mode
        )
        self.weight = nn.Parameter(torch.zeros(1))  # strength of the noise
        self.bias = nn.Parameter(torch.zeros(1, out_channels, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """(N, in, H, W), (N, num_style_feat), noise (1 or N, 1, H', W') -> (N, out, H', W')."""
        y = self.modulated_conv(x, style, math.sqrt(2), self.bias.flatten())
        y = y.add_((self.weight * noise).to(y.dtype))
        return F.leaky_relu(y, 0.2, inplace=True)


class ToRGB(ModulatedToRGB):
    """Features to colors, added to the colors of the level below.

    Args:
        upsample: double the size of the colors below before adding.
    """

    def __init__(self, in_channels: int, num_style_feat: int, upsample: bool = True) -> None:
        modulated_conv = ModulatedConv2d(in_channels, 3, 1, num_style_feat, demodulate=False)
        super().__init__(modulated_conv, upsample2 if upsample else None)


class StyleGAN2GeneratorClean(StyleGAN2Core):
    """StyleGAN2 with bilinear resizing and plain leaky ReLUs. Weights: ``load_state_dict``, official keys.

    Args, besides those of ``StyleGAN2Core``:
        num_mlp: layers of the mapping network.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        channel_multiplier: float = 2,
        narrow: float = 1,
        sft_half: bool = False,
    ) -> None:
        super().__init__(
            out_size,
            num_style_feat,
            channel_multiplier,
            narrow,
            style_mlp=_mapping(num_style_feat, num_mlp),
            style_conv=partial(StyleConv, kernel_size=3, num_style_feat=num_style_feat),
            to_rgb=partial(ToRGB, num_style_feat=num_style_feat),
            sft_half=sft_half,
        )


class StyleGAN2GeneratorCSFT(StyleGAN2GeneratorClean):
    """``StyleGAN2GeneratorClean`` that expects conditions; the name that GFP-GAN gives it."""


def _mapping(num_style_feat: int, num_mlp: int) -> nn.Sequential:
    """Linear layers at odd indices, as in the published weights."""
    layers: list[nn.Module] = [NormStyleCode()]
    for _ in range(num_mlp):
        linear = nn.Linear(num_style_feat, num_style_feat)
        nn.init.kaiming_normal_(linear.weight, a=0.2)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)
