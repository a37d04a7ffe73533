"""Resizing by 2 and 1/2, alone or within a convolution: by an FIR filter or by interpolation.

The original StyleGAN2 filters (Karras et al. 2020, arXiv 1912.04958; Zhang 2019, arXiv 1904.11486); the bilinear
variants interpolate. All is made of ordinary operations, differentiable twice on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.stylegan2_core import downsample2, upsample2

InterpolationMode = Literal["bilinear", "nearest"]
ResampleKernel: TypeAlias = Sequence[int] | InterpolationMode
"""Taps of the FIR filter, one axis, or the name of an interpolation instead."""
TAPS = (1, 3, 3, 1)
"""The filter of all published weights."""


def upfirdn2d(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Insert zeros, pad, convolve, and keep every ``down``-th sample, on both axes and each channel.

    Args:
        x: (N, C, H, W).
        kernel: (h, w), in the dtype of x.
        up: one sample becomes itself and ``up - 1`` zeros after it.
        down: the first sample is kept.
        pad: zeros before and after; negative ones crop.

    Returns:
        (N, C, H', W') with H' = (H * up + pad[0] + pad[1] - h) // down + 1, W' in the same way.
    """
    channels = x.shape[1]
    if up > 1:
        stuffed = F.pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1))
        x = stuffed.flatten(4, 5).flatten(2, 3)
    x = F.pad(x, (*pad, *pad))
    weight = kernel.flip(0, 1).expand(channels, 1, -1, -1)  # conv2d correlates
    return F.conv2d(x, weight, stride=down, groups=channels)


class Resampling(Protocol):
    """Resizing by 2 and 1/2 in a variant of StyleGAN2."""

    def enlarge(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)."""
        ...

    def conv_up(self, x: Tensor, weight: Tensor) -> Tensor:
        """(N, in, H, W), (out, in, k, k) -> (N, out, 2H, 2W)."""
        ...

    def before_down(self, x: Tensor, kernel_size: int) -> Tensor:
        """Prepare the input of a convolution that halves it."""
        ...

    def stride_and_padding(self, kernel_size: int) -> tuple[int, int]:
        """Arguments of a convolution after ``before_down``."""
        ...


@dataclass(frozen=True)
class FIR:
    """Resampling by a low-pass filter: strided convolutions before or after it.

    Attributes:
        taps: of the filter, one axis; scaled to sum 1.
    """

    taps: tuple[int, ...]

    def enlarge(self, x: Tensor) -> Tensor:
        spare = len(self.taps) - 2
        return upfirdn2d(x, 4 * self._kernel(x), up=2, pad=((spare + 1) // 2 + 1, spare // 2))

    def conv_up(self, x: Tensor, weight: Tensor) -> Tensor:
        spare = len(self.taps) - weight.shape[-1] - 1
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return upfirdn2d(y, 4 * self._kernel(y), pad=((spare + 1) // 2 + 1, spare // 2 + 1))

    def before_down(self, x: Tensor, kernel_size: int) -> Tensor:
        spare = len(self.taps) + kernel_size - 3
        return upfirdn2d(x, self._kernel(x), pad=((spare + 1) // 2, spare // 2))

    def stride_and_padding(self, kernel_size: int) -> tuple[int, int]:  # noqa: ARG002
        return 2, 0

    def _kernel(self, x: Tensor) -> Tensor:
        taps = x.new_tensor(self.taps)
        return taps.outer(taps) / taps.sum().square()


@dataclass(frozen=True)
class Interpolation:
    """Resampling before the convolution, bilinearly or by the nearest neighbour."""

    mode: InterpolationMode

    def enlarge(self, x: Tensor) -> Tensor:
        return upsample2(x) if self.mode == "bilinear" else F.interpolate(x, scale_factor=2, mode="nearest")

    def conv_up(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(self.enlarge(x), weight, padding=weight.shape[-1] // 2)

    def before_down(self, x: Tensor, kernel_size: int) -> Tensor:  # noqa: ARG002
        return downsample2(x) if self.mode == "bilinear" else x[:, :, ::2, ::2]

    def stride_and_padding(self, kernel_size: int) -> tuple[int, int]:
        return 1, kernel_size // 2


def resampling(kernel: ResampleKernel) -> Resampling:
    """The resampling that ``kernel`` names (ValueError: an unknown name)."""
    if not isinstance(kernel, str):
        return FIR(tuple(kernel))
    if kernel not in ("bilinear", "nearest"):
        raise ValueError(f"resampling is by the taps of a filter, 'bilinear' or 'nearest', not {kernel!r}")
    return Interpolation(kernel)
