"""Blur and shrink in one go: very nearly the picture that a full-size convolution and a bilinear resize give, sooner.

What a kernel leaves of a picture often fits a coarser grid: averaging 2 or 4 pixels first loses next to nothing that
the kernel would have kept, and the convolution costs a fraction. The softening that averaging and interpolating bring
along is taken out of the kernel. Kernels that do keep fine detail are applied at full size: axis by axis if they are a
product of a column and a row, else through the Fourier transform.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from revisage.training.data.degradations.kernels import Kernel
from revisage.types import FloatImage

SMOOTH = {4: 3e-6, 2: 5e-5}
"""A kernel fits a grid so much coarser if less than this share of a photograph's power that it leaves lies beyond."""
_DIRECT = 11
"""Up to this size OpenCV convolves directly, and fast."""


def blurred_at(image: FloatImage, kernel: Kernel, size: tuple[int, int]) -> FloatImage:
    """Correlate with a kernel, border mirrored without repeating the edge pixel; then resize bilinearly, no antialias.

    Like ``cv2.resize(cv2.filter2D(image, -1, kernel), size)``: the same to rounding for kernels that keep fine detail,
    and a fraction of one of 255 levels off for smooth ones.

    Args:
        image: (H, W, 3).
        kernel: (K, K), K odd, sum 1.
        size: (width, height) of the result, (height, width, 3).
    """
    kernel = trimmed(kernel)
    height, width = image.shape[:2]
    rows, columns = coarsening(kernel, (height, width))
    if rows * columns == 1:
        blurred = _correlated(image, kernel, cv2.BORDER_REFLECT_101)
    else:
        coarse = cv2.resize(image, (width // columns, height // rows), interpolation=cv2.INTER_AREA)
        # Averages come nearest to being mirrored at the edge pixel's centre if they are mirrored at its edge.
        blurred = _correlated(np.asarray(coarse, np.float32), coarsened(kernel, rows, columns), cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _correlated(image: FloatImage, kernel: Kernel, border: int) -> FloatImage:
    """(H, W, 3) at the same size, by the quickest way."""
    column, row = kernel.sum(axis=1), kernel.sum(axis=0)
    if np.abs(kernel - np.outer(column, row)).max() < 1e-5 * np.abs(kernel).max():
        return np.asarray(cv2.sepFilter2D(image, -1, row, column, borderType=border), np.float32)
    if max(kernel.shape) <= _DIRECT:
        return np.asarray(cv2.filter2D(image, -1, kernel, borderType=border), np.float32)
    (height, width), (down, across) = image.shape[:2], (side // 2 for side in kernel.shape)
    size = tuple(cv2.getOptimalDFTSize(side) for side in (height + 2 * down, width + 2 * across))
    bottom, right = size[0] - height - down, size[1] - width - across
    padded = torch.from_numpy(cv2.copyMakeBorder(image, down, bottom, across, right, border))
    spectrum = torch.fft.rfft2(padded.permute(2, 0, 1))
    # A correlation is a convolution with the kernel turned by half a turn.
    spectrum *= torch.fft.rfft2(torch.from_numpy(kernel[::-1, ::-1].astype(np.float32)), s=size)
    planes = torch.fft.irfft2(spectrum, s=size).numpy()
    inner = planes[:, 2 * down : 2 * down + height, 2 * across : 2 * across + width]
    return np.asarray(cv2.merge(list(inner)), np.float32)


def trimmed(kernel: Kernel, dropped: float = 1e-4) -> Kernel:
    """The centre of a square kernel that holds all but ``dropped`` of its absolute sum; its sum is as it was."""
    values, centre = np.abs(kernel), len(kernel) // 2
    axis = np.abs(np.arange(len(kernel)) - centre)
    rings = np.bincount(np.maximum(axis[:, None], axis[None, :]).ravel(), values.ravel())
    reach = int(np.searchsorted(np.cumsum(rings), (1 - dropped) * values.sum()))
    part = kernel[centre - reach : centre + reach + 1, centre - reach : centre + reach + 1]
    return part * (kernel.sum() / part.sum())


def coarsening(kernel: Kernel, shape: tuple[int, int]) -> tuple[int, int]:
    """How many pixels may become one before a kernel is applied, down and across: 1, 2 or 4, a divisor of the side."""
    if kernel.min() < 0:  # it rings, so it passes all below its cutoff, where averages and interpolation do harm
        return 1, 1
    side = 64 * (len(kernel) // 64 + 1)
    left = np.abs(np.fft.rfft2(kernel, (side, side))) ** 2 * _photograph(side)
    power = left.sum()
    down = [left[side // (2 * factor) : -side // (2 * factor) + 1].sum() < SMOOTH[factor] * power for factor in SMOOTH]
    across = [left[:, side // (2 * factor) :].sum() < SMOOTH[factor] * power for factor in SMOOTH]
    return _first(down, shape[0]), _first(across, shape[1])


def _first(fits: list[np.bool_], length: int) -> int:
    """The largest factor that fits and divides a side."""
    return next((factor for factor, fit in zip(SMOOTH, fits, strict=True) if fit and length % factor == 0), 1)


@lru_cache(maxsize=4)
def _photograph(side: int) -> NDArray[np.float64]:
    """The mean power spectrum of photographs, 1 / f^2 (Field 1987, doi 10.1364/JOSAA.4.002379), for ``rfft2``."""
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    power = 1 / np.maximum(down**2 + across**2, (0.5 / side) ** 2)
    power[:, 1:-1] *= 2  # stands for its mirror image too
    return power


def coarsened(kernel: Kernel, rows: int, columns: int) -> Kernel:
    """The kernel that does on averages of ``rows`` x ``columns`` pixels what ``kernel`` does on the pixels."""
    return _gathering(len(kernel), rows) @ kernel @ _gathering(len(kernel), columns).T


@lru_cache(maxsize=128)
def _gathering(size: int, factor: int) -> NDArray[np.float64]:
    """The matrix that gathers taps into taps ``factor`` as wide, shared between two neighbours, and then sharpens."""
    if factor == 1:
        return np.eye(size)
    reach = size // 2
    coarse = reach // factor + 2
    distance = np.abs(np.arange(-coarse, coarse + 1)[:, None] * factor - np.arange(-reach, reach + 1)[None, :])
    # Variances in squared pixels: averaging (f^2 - 1) / 12, sharing (f^2 - 1) / 6, bilinear sampling f^2 / 6 where it
    # would have been 1 / 6. A filter (-a, 1 + 2a, -a) has the variance -2a.
    softening = (factor**2 - 1) * (1 / 12 + 1 / 6 + 1 / 6)
    a = softening / factor**2 / 2
    neighbours = np.eye(2 * coarse + 1, k=1) + np.eye(2 * coarse + 1, k=-1)
    return ((1 + 2 * a) * np.eye(2 * coarse + 1) - a * neighbours) @ np.maximum(1 - distance / factor, 0)
