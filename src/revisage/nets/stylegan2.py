"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) in its "clean" form, without and with SFT conditions.

The style modulates the activations and a demodulation factor the output, while the weights stay constant (equation 3 of
the paper, rearranged): pictures with different styles share one ordinary convolution.

Half precision: modulation and demodulation factors are computed in float32 and the colours are summed in float32. Each
style is divided by its largest entry, which demodulation cancels, so that no style overflows float16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.nets.stylegan2_core import NormStyleCode, StyleGAN2Core, accurate, downsample2, upsample2

SampleMode = Literal["upsample", "downsample"] | None


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output channels are normalised in return.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd; padding keeps the size.
        num_style_feat: length of a style.
        demodulate: give each output channel unit variance, for inputs of unit variance.
        sample_mode: resize the input by 2 or 1/2 first.
        eps: floor of the variance.
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
        super().__init__()
        if sample_mode not in (None, "upsample", "downsample"):
            raise ValueError(f"sample_mode is None, 'upsample' or 'downsample', not {sample_mode!r}")
        self.kernel_size = kernel_size
        self.demodulate = demodulate
        self.sample_mode = sample_mode
        self.eps = eps
        self.modulation = nn.Linear(num_style_feat, in_channels)
        nn.init.kaiming_normal_(self.modulation.weight, nonlinearity="linear")
        nn.init.ones_(self.modulation.bias)
        fan_in = in_channels * kernel_size**2
        self.weight = nn.Parameter(
            torch.randn(1, out_channels, in_channels, kernel_size, kernel_size) / math.sqrt(fan_in)
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Modulate, resize, convolve, demodulate.

        Args:
            x: (N, in_channels, H, W).
            style: (N, num_style_feat).

        Returns:
            (N, out_channels, H', W'), of x's dtype if demodulated, else at least float32: nothing bounds it then.
        """
        scale, gain = self._factors(style)
        x = x * scale.to(x.dtype)[:, :, None, None]
        if self.sample_mode == "upsample":
            x = upsample2(x)
        elif self.sample_mode == "downsample":
            x = downsample2(x)
        y = F.conv2d(x, self.weight[0], padding=self.kernel_size // 2)
        if self.demodulate:
            # A filter of zeros has the gain 1/sqrt(eps), which times 0 must not become inf * 0.
            gain = gain.clamp(max=torch.finfo(y.dtype).max).to(y.dtype)
        return y * gain[:, :, None, None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ModulatedConv2d:
        # `.to(memory_format=torch.channels_last)` works in four dimensions; the published weight has a fifth of size 1.
        def apply(tensor: Tensor) -> Tensor:
            return fn(tensor[0])[None] if tensor.ndim == 5 else fn(tensor)

        return super()._apply(apply, recurse)

    def _factors(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """(N, num_style_feat) -> scale of the inputs (N, in), in [-1, 1]; gain of the outputs (N, out) or (N, 1)."""
        dtype = accurate(self.weight.dtype)
        with _without_autocast(style):
            scale = F.linear(style.to(dtype), self.modulation.weight.to(dtype), self.modulation.bias.to(dtype))
            # The result does not depend on `peak`, hence neither does the gradient.
            peak = scale.detach().abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(dtype).tiny)
            scale = scale / peak
            if not self.demodulate:
                return scale, peak
            energy = self.weight[0].flatten(2).to(dtype).square().sum(dim=2)
            return scale, torch.rsqrt(scale.square() @ energy.t() + self.eps / peak.square())


def _without_autocast(x: Tensor) -> AbstractContextManager[object]:
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


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
        y = self.modulated_conv(x, style)
        y = torch.add(self.bias.to(y.dtype), y, alpha=math.sqrt(2))
        y = y + (self.weight * noise).to(y.dtype)
        return F.leaky_relu(y, 0.2, inplace=True)


class ToRGB(nn.Module):
    """Features to colours, added to the enlarged colours of the level below.

    Args:
        in_channels: channels of the features.
        num_style_feat: length of a style.
        upsample: double the size of the colours below before adding.
    """

    def __init__(self, in_channels: int, num_style_feat: int, upsample: bool = True) -> None:
        super().__init__()
        self.upsample = upsample
        self.modulated_conv = ModulatedConv2d(in_channels, 3, 1, num_style_feat, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """(N, in, H, W), (N, num_style_feat), colours below or None -> (N, 3, H, W), at least float32."""
        rgb = self.modulated_conv(x, style) + self.bias
        if skip is None:
            return rgb
        return rgb + (upsample2(skip) if self.upsample else skip)


class StyleGAN2GeneratorClean(StyleGAN2Core):
    """StyleGAN2 with bilinear resizing and plain leaky ReLUs. Weights: ``load_state_dict``, official keys.

    Args:
        out_size: side of the picture, a power of two from 8 to 1024.
        num_style_feat: length of a style.
        num_mlp: layers of the mapping network.
        channel_multiplier: multiplies the channels from 64x64 on.
        narrow: multiplies all channels.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        channel_multiplier: float = 2,
        narrow: float = 1,
    ) -> None:
        super().__init__(
            out_size,
            num_style_feat,
            channel_multiplier,
            narrow,
            style_mlp=_mapping(num_style_feat, num_mlp),
            style_conv=partial(StyleConv, kernel_size=3, num_style_feat=num_style_feat),
            to_rgb=partial(ToRGB, num_style_feat=num_style_feat),
        )


class StyleGAN2GeneratorCSFT(StyleGAN2GeneratorClean):
    """``StyleGAN2GeneratorClean`` that expects conditions; ``sft_half`` lets half of the channels pass untouched."""

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        channel_multiplier: float = 2,
        narrow: float = 1,
        sft_half: bool = False,
    ) -> None:
        super().__init__(out_size, num_style_feat, num_mlp, channel_multiplier, narrow)
        self.sft_half = sft_half


def _mapping(num_style_feat: int, num_mlp: int) -> nn.Sequential:
    """Linear layers at the odd places, as in the published weights."""
    layers: list[nn.Module] = [NormStyleCode()]
    for _ in range(num_mlp):
        linear = nn.Linear(num_style_feat, num_style_feat)
        nn.init.kaiming_normal_(linear.weight, a=0.2)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)
