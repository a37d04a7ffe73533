"""Layers with an equalised learning rate (Karras et al. 2017, arXiv 1710.10196) and the activation that goes with them.

Weights are stored with unit variance and multiplied by a constant at run time, so that all learn at the same pace.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.resampling import TAPS, ResampleKernel, Resampling, resampling


def fused_leaky_relu(
    x: Tensor, bias: Tensor | None = None, negative_slope: float = 0.2, scale: float = 2**0.5
) -> Tensor:
    """Add a bias (C) over dimension 1 of (N, C, ...), leaky ReLU, and a gain that keeps the variance."""
    if bias is not None:
        x = x + bias.to(x.dtype).view(1, -1, *[1] * (x.ndim - 2))
    return F.leaky_relu(x, negative_slope).mul_(scale)


class FusedLeakyReLU(nn.Module):
    """``fused_leaky_relu`` with a learned bias."""

    def __init__(self, channel: int, negative_slope: float = 0.2, scale: float = 2**0.5) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channel))
        self.negative_slope = negative_slope
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return fused_leaky_relu(x, self.bias, self.negative_slope, self.scale)


class ScaledLeakyReLU(nn.Module):
    """``fused_leaky_relu`` without a bias."""

    def __init__(self, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return fused_leaky_relu(x, None, self.negative_slope)


def activation(channels: int, bias: bool) -> nn.Module:
    """The activation that follows a convolution; a bias of the convolution lies in here."""
    return FusedLeakyReLU(channels) if bias else ScaledLeakyReLU()


class EqualLinear(nn.Module):
    """Linear layer.

    Args:
        bias_init_val: the bias at the start.
        lr_mul: learning rate relative to the others.
        activation: "fused_lrelu" adds ``fused_leaky_relu``.

    Attributes:
        scale: factor of the stored weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bias: bool = True,
        bias_init_val: float = 0,
        lr_mul: float = 1,
        activation: Literal["fused_lrelu"] | None = None,
    ) -> None:
        super().__init__()
        if activation not in (None, "fused_lrelu"):
            raise ValueError(f"activation is None or 'fused_lrelu', not {activation!r}")
        self.scale = lr_mul / math.sqrt(in_channels)
        self.lr_mul = lr_mul
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels) / lr_mul)
        self.bias = nn.Parameter(torch.full((out_channels,), float(bias_init_val))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels) -> (N, out_channels)."""
        bias = None if self.bias is None else self.bias * self.lr_mul
        y = F.linear(x, self.weight * self.scale, None if self.activation else bias)
        return fused_leaky_relu(y, bias) if self.activation else y


class EqualConv2d(nn.Module):
    """Convolution. Arguments as for ``nn.Conv2d``; ``bias_init_val`` is the bias at the start."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        bias_init_val: float = 0,
    ) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.stride = stride
        self.padding = padding
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.full((out_channels,), float(bias_init_val))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class ConvLayer(nn.Sequential):
    """Convolution and activation, the brick of discriminators and U-Nets.

    Args:
        kernel_size: odd; padding keeps the size.
        downsample: halve the size on the way.
        resample_kernel: how.
        bias: add a learned bias; it belongs to the activation where there is one.
        activate: leaky ReLU after the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        downsample: bool = False,
        resample_kernel: ResampleKernel = TAPS,
        bias: bool = True,
        activate: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        stride, padding = 1, kernel_size // 2
        if downsample:
            resample = resampling(resample_kernel)
            layers.append(_BeforeDown(resample, kernel_size))
            stride, padding = resample.stride_and_padding(kernel_size)
        layers.append(EqualConv2d(in_channels, out_channels, kernel_size, stride, padding, bias and not activate))
        if activate:
            layers.append(activation(out_channels, bias))
        super().__init__(*layers)


class _BeforeDown(nn.Module):
    def __init__(self, resample: Resampling, kernel_size: int) -> None:
        super().__init__()
        self.resample = resample
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        return self.resample.before_down(x, self.kernel_size)


class ResBlock(nn.Module):
    """Residual block that halves the size."""

    def __init__(self, in_channels: int, out_channels: int, resample_kernel: ResampleKernel = TAPS) -> None:
        super().__init__()
        self.conv1 = ConvLayer(in_channels, in_channels, 3)
        self.conv2 = ConvLayer(in_channels, out_channels, 3, True, resample_kernel)
        self.skip = ConvLayer(in_channels, out_channels, 1, True, resample_kernel, bias=False, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H/2, W/2)."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)
