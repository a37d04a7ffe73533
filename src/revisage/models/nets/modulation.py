"""The layers in which a style acts on an image (StyleGAN2: Karras et al. 2020, arXiv 1912.04958), for all variants.

The style modulates the activations and a demodulation factor the output, while the weights stay constant (equation 3 of
the paper, rearranged): images with different styles share one ordinary convolution.

Half precision: modulation and demodulation factors are computed in float32 and the colors are summed in float32. Each
style is divided by its largest entry, which demodulation cancels, so that no style overflows float16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.precision import accurate, without_autocast

SampleMode = Literal["upsample", "downsample"] | None


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output channels are normalised in return.

    Args:
        modulation: holds ``weight`` (in, num_style_feat) and ``bias`` (in): styles to scales of the input channels.
        weight: initial filters, (1, out, in, k, k).
        convolve: the convolution, with or without a change of size: (N, in, H, W), (out, in, k, k) -> (N, out, H', W').
            It takes a bias (out) as a third argument where ``forward`` is given one.
        demodulate: give each output channel unit variance, for inputs of unit variance.
        eps: floor of the variance.
        style_gain: constant factor of the modulation's weights.
        weight_gain: constant factor of the filters.
    """

    def __init__(
        self,
        modulation: nn.Module,
        weight: Tensor,
        convolve: Callable[..., Tensor],
        demodulate: bool = True,
        eps: float = 1e-8,
        style_gain: float = 1,
        weight_gain: float = 1,
    ) -> None:
        super().__init__()
        self.modulation = modulation
        self.weight = nn.Parameter(weight)
        self.convolve = convolve
        self.demodulate = demodulate
        self.eps = eps
        self.style_gain = style_gain
        self.weight_gain = weight_gain

    def forward(self, x: Tensor, style: Tensor, gain: float = 1, bias: Tensor | None = None) -> Tensor:
        """Modulate, convolve, demodulate: (N, in, H, W), (N, num_style_feat) -> (N, out, H', W').

        The result, times ``gain`` and plus ``bias`` (out), is of x's dtype if demodulated, else at least float32:
        nothing bounds it then.
        """
        scale, demodulation = self._factors(style)
        demodulation = demodulation * gain
        filters = self.weight[0]
        shift = () if bias is None else (bias.to(x.dtype),)
        if x.shape[0] == 1 and not torch.is_grad_enabled() and filters.numel() < x.numel():
            # One style, and filters smaller than the image: it is less work to scale these (equations 1 and 3).
            filters = filters * scale[0][:, None, None]
            if self.demodulate:
                return self.convolve(x, (filters * demodulation[0][:, None, None, None]).to(x.dtype), *shift)
            y = self.convolve(x, filters.to(x.dtype))
        else:
            y = self.convolve(x * scale.to(x.dtype)[:, :, None, None], filters)
        if self.demodulate:
            # A filter of zeros has the gain 1/sqrt(eps), which times 0 must not become inf * 0.
            demodulation = demodulation.clamp(max=torch.finfo(y.dtype).max).to(y.dtype)
        demodulation = demodulation[:, :, None, None]
        return y * demodulation if bias is None else torch.addcmul(bias.to(y.dtype)[:, None, None], y, demodulation)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ModulatedConv:
        # `.to(memory_format=torch.channels_last)` works in four dimensions; the published weight has a fifth of size 1.
        def apply(tensor: Tensor) -> Tensor:
            return fn(tensor[0])[None] if tensor.ndim == 5 else fn(tensor)

        return super()._apply(apply, recurse)

    def _factors(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """(N, num_style_feat) -> scale of the inputs (N, in), in ±weight_gain; gain of the outputs (N, out or 1)."""
        dtype = accurate(self.weight.dtype)
        weight, bias = self.modulation.get_parameter("weight"), self.modulation.get_parameter("bias")
        with without_autocast(style):
            scale = F.linear(style.to(dtype) * self.style_gain, weight.to(dtype), bias.to(dtype))
            # The result does not depend on `peak`, hence neither does the gradient.
            peak = scale.detach().abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(dtype).tiny)
            scale = scale * (self.weight_gain / peak)
            if not self.demodulate:
                return scale, peak
            energy = self.weight[0].flatten(2).to(dtype).square().sum(dim=2)
            return scale, torch.rsqrt(scale.square() @ energy.t() + self.eps / peak.square())


class ModulatedToRGB(nn.Module):
    """Features to colors, added to the enlarged colors of the level below.

    Args:
        modulated_conv: 1x1 to three channels, not demodulated.
        enlarge: brings the colors below to the size of the features.
    """

    def __init__(self, modulated_conv: ModulatedConv, enlarge: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.modulated_conv = modulated_conv
        self.enlarge = enlarge
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """(N, in, H, W), (N, num_style_feat), colors below or None -> (N, 3, H, W), at least float32."""
        rgb = self.modulated_conv(x, style) + self.bias
        if skip is None:
            return rgb
        return rgb + (self.enlarge(skip) if self.enlarge else skip)
