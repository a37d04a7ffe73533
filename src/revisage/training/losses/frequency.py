"""Losses on spectra and wavelets, which see missing detail that a mean over pixels hardly notices.

All transforms are linear, so the difference of two pictures is transformed, once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.precision import accurate, without_autocast


def fft_loss(restored: Tensor, gt: Tensor) -> Tensor:
    """Mean magnitude of the difference of spectra, a scalar: mean |FFT(restored) - FFT(gt)|, the FFT orthonormal.

    Args:
        restored: (N, C, H, W).
        gt: likewise.
    """
    return _spectrum(restored, gt).abs().mean()


def focal_frequency_loss(restored: Tensor, gt: Tensor, alpha: float = 1.0) -> Tensor:
    """Mean squared difference of spectra in which badly missed frequencies count more.

    mean w |D|² with D = FFT(restored) - FFT(gt), orthonormal, and w = (|D| / max |D|)^alpha, the maximum of each
    channel of each picture; w is a constant to the gradient (Jiang et al. 2021, arXiv 2012.12821).

    Args:
        restored: (N, C, H, W).
        gt: likewise.
        alpha: how much they count more; 0: all alike, which is the mean squared difference of pixels.
    """
    difference = torch.view_as_real(_spectrum(restored, gt)).square().sum(-1)  # |D|², smooth at 0 as |D| is not
    size = difference.detach().sqrt()
    weight = (size / size.amax((-2, -1), keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)) ** alpha
    return (weight * difference).mean()


def wavelet_loss(restored: Tensor, gt: Tensor, levels: int = 3) -> Tensor:
    """Mean absolute difference of wavelet details, a scalar; flat differences cost nothing, leave them to a pixel loss.

    On the stationary transform, as in Korkmaz et al. 2024 (arXiv 2402.19215), with Haar's wavelet; all levels and
    orientations count alike.

    Args:
        restored: (N, C, H, W).
        gt: likewise.
        levels: scales to look at: 2, 4, 8, ... pixels.
    """
    difference = restored.to(accurate(restored.dtype)) - gt.to(accurate(gt.dtype))
    details, _ = stationary_haar(difference, levels)
    return torch.stack([detail.abs().mean() for detail in details]).mean()


def stationary_haar(x: Tensor, levels: int) -> tuple[list[Tensor], Tensor]:
    """The stationary (undecimated, "à trous") Haar transform: means and half differences of pixels 1, 2, 4, ... apart.

    Pixels beyond the right and lower border are those of the border.

    Args:
        x: (N, C, H, W).
        levels: how many scales.

    Returns:
        details [(N, 3, C, H, W) ...], finest first: horizontal, vertical, diagonal differences; what is left, like x.
        The sum of all details and the rest is x.
    """
    details: list[Tensor] = []
    for level in range(levels):
        left, across = _mean_and_half_difference(x, -1, 2**level)
        rest, down = _mean_and_half_difference(left, -2, 2**level)
        across_mean, diagonal = _mean_and_half_difference(across, -2, 2**level)
        details.append(torch.stack([across_mean, down, diagonal], dim=1))
        x = rest
    return details, x


def _mean_and_half_difference(x: Tensor, axis: int, step: int) -> tuple[Tensor, Tensor]:
    """Of each pixel and the one ``step`` further along the axis: (x + next) / 2 and (x - next) / 2."""
    padding = (0, step, 0, 0) if axis == -1 else (0, 0, 0, step)
    further = F.pad(x, padding, mode="replicate").narrow(axis, step, x.shape[axis])
    return (x + further) / 2, (x - further) / 2


def _spectrum(restored: Tensor, gt: Tensor) -> Tensor:
    """FFT(restored - gt), (N, C, H, W) complex."""
    with without_autocast(restored):
        difference = restored.to(accurate(restored.dtype)) - gt.to(accurate(gt.dtype))
        return torch.fft.fft2(difference, norm="ortho")
