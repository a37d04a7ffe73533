"""Blur kernels, and a fast convolution with them that resizes at once.

Formulas: Wang et al. 2021, arXiv 2107.10833, section 3.2 and appendix A. A kernel of odd ``size`` is sampled on an
integer mesh centered at 0 and sums to 1. It is a function of the distance d^2 = x^T S^-1 x with S = R diag(sigma_x^2,
sigma_y^2) R^T and R = [[cos t, -sin t], [sin t, cos t]]; a Gaussian has the covariance S. Sigmas are in pixels, angles
in radians; without ``sigma_y`` a kernel is isotropic.

Speed: an image that a kernel has blurred often fits a coarser grid. Averaging 2 or 4 pixels first loses next to nothing
that the kernel would have kept; the kernel is sharpened by the softening that averaging and interpolation add. Kernels
that keep fine detail are applied at full size: separably if they are a product of a column and a row, else through the
Fourier transform.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from revisage.types import Array, FloatImage

Kernel = NDArray[np.float64]
"""(size, size), sums to 1."""

_MAX_POWER_BEYOND = {4: 3e-6, 2: 5e-5}
"""Factor of a coarser grid -> share of the blurred photograph's power that may lie beyond its band."""
_MAX_DIRECT_SIZE = 11
"""Up to this kernel size OpenCV convolves directly, and fast."""


def gaussian_axis(size: int, sigma: float) -> Kernel:
    """(size,) one axis of an isotropic Gaussian: the (size, size) kernel is its outer product with itself."""
    axis = np.arange(size) - size // 2
    return _normalize(np.exp(-0.5 * (axis / sigma) ** 2))


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0) -> Kernel:
    """(size, size) Gaussian: exp(-d^2 / 2)."""
    return _normalize(np.exp(-0.5 * _distance(size, sigma_x, sigma_y, theta)))


def generalized_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0, *, beta: float
) -> Kernel:
    """(size, size) generalized Gaussian: exp(-(d^2)^beta / 2); flatter than a Gaussian for ``beta`` above 1."""
    return _normalize(np.exp(-0.5 * _distance(size, sigma_x, sigma_y, theta) ** beta))


def plateau_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0, *, beta: float
) -> Kernel:
    """(size, size) plateau: 1 / ((d^2)^beta + 1), the disc of a lens out of focus for large ``beta``."""
    return _normalize(1 / (_distance(size, sigma_x, sigma_y, theta) ** beta + 1))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """(size, size) circular low-pass, which rings: cutoff J1(cutoff r) / (2 pi r), ``cutoff`` in radians a pixel."""
    check_odd(size)
    axis = np.arange(size) - size // 2
    # The value at 0 is the limit; the other distances occur many times each.
    squares, indices = np.unique(axis[:, None] ** 2 + axis[None, :] ** 2, return_inverse=True)
    radius = np.sqrt(squares[1:])
    profile = np.append(cutoff**2 / (4 * np.pi), cutoff * bessel_j1(cutoff * radius) / (2 * np.pi * radius))
    return _normalize(profile[indices].reshape(size, size))


def add_kernel_noise(kernel: Kernel, noise: tuple[float, float], rng: np.random.Generator) -> Kernel:
    """Multiply each value by a factor drawn from ``noise``; the sum is 1 again."""
    return _normalize(kernel * rng.uniform(*noise, size=kernel.shape))


def check_odd(size: int) -> int:
    """Return ``size``, or raise ValueError if it is even."""
    if size % 2 == 0:
        raise ValueError(f"a kernel has a center, so its size is odd, not {size}")
    return size


def bessel_j1(x: Array) -> NDArray[np.float64]:
    """Bessel function of the first kind, order one: J1(x) = 1/pi of the integral of cos(t - x sin t) over t in [0, pi].

    The trapezoid rule with n points on a whole period of this integrand is exact but for Bessel functions of the orders
    n - 1 and above, which vanish to double precision for n > |x| + 60.
    """
    x = np.asarray(x, np.float64)
    points = int(np.abs(x).max(initial=0)) + 61
    angles = np.arange(points) * (2 * np.pi / points)
    return np.cos(angles - x[..., None] * np.sin(angles)).mean(axis=-1)


def gaussian_blur(
    image: FloatImage, size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0
) -> FloatImage:
    """Convolve with :func:`gaussian_kernel`, exactly; the border is mirrored without repeating the edge pixel."""
    if sigma_y is None:
        axis = gaussian_axis(size, sigma_x)
        return np.asarray(cv2.sepFilter2D(image, -1, axis, axis), np.float32)
    kernel: Array = gaussian_kernel(size, sigma_x, sigma_y, theta)
    return np.asarray(cv2.filter2D(image, -1, kernel), np.float32)


def blur_and_resize(image: FloatImage, kernel: Kernel, size: tuple[int, int]) -> FloatImage:
    """Correlate (H, W, 3) with a kernel (K, K), then resize bilinearly to ``size`` (width, height), no antialias.

    The border is mirrored without repeating the edge pixel. Like ``cv2.resize(cv2.filter2D(image, -1, kernel), size)``:
    equal to rounding for kernels that keep fine detail, and a fraction of one of 255 levels off for smooth ones.
    """
    kernel = trim(kernel)
    height, width = image.shape[:2]
    rows, columns = coarsening_factors(kernel, (height, width))
    if rows * columns == 1:
        blurred = _correlate(image, kernel, cv2.BORDER_REFLECT_101)
    else:
        coarse = cv2.resize(image, (width // columns, height // rows), interpolation=cv2.INTER_AREA)
        # Averages come nearest to being mirrored at the edge pixel's center if they are mirrored at its edge.
        blurred = _correlate(np.asarray(coarse, np.float32), coarsen(kernel, rows, columns), cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR), np.float32)


def trim(kernel: Kernel, dropped: float = 1e-4) -> Kernel:
    """Cut a square kernel to the center that holds all but ``dropped`` of its absolute sum; keep its sum."""
    values, center = np.abs(kernel), len(kernel) // 2
    axis = np.abs(np.arange(len(kernel)) - center)
    rings = np.bincount(np.maximum(axis[:, None], axis[None, :]).ravel(), values.ravel())
    reach = int(np.searchsorted(np.cumsum(rings), (1 - dropped) * values.sum()))
    part = kernel[center - reach : center + reach + 1, center - reach : center + reach + 1]
    return part * (kernel.sum() / part.sum())


def coarsening_factors(kernel: Kernel, shape: tuple[int, int]) -> tuple[int, int]:
    """How many pixels to average before applying a kernel, down and across: 1, 2 or 4, a divisor of (height, width)."""
    if kernel.min() < 0:  # it rings: it passes all below its cutoff, where averages and interpolation do harm
        return 1, 1
    side = 64 * (len(kernel) // 64 + 1)
    left = np.abs(np.fft.rfft2(kernel, (side, side))) ** 2 * _photograph_spectrum(side)
    total = left.sum()

    def largest(beyond: dict[int, np.float64], length: int) -> int:
        fits = (f for f, limit in _MAX_POWER_BEYOND.items() if beyond[f] < limit * total and length % f == 0)
        return next(fits, 1)

    down = {f: left[side // (2 * f) : -side // (2 * f) + 1].sum() for f in _MAX_POWER_BEYOND}
    across = {f: left[:, side // (2 * f) :].sum() for f in _MAX_POWER_BEYOND}
    return largest(down, shape[0]), largest(across, shape[1])


def coarsen(kernel: Kernel, rows: int, columns: int) -> Kernel:
    """The kernel that does on averages of ``rows`` x ``columns`` pixels what ``kernel`` does on the pixels."""
    return _coarsening_matrix(len(kernel), rows) @ kernel @ _coarsening_matrix(len(kernel), columns).T


def _correlate(image: FloatImage, kernel: Kernel, border: int) -> FloatImage:
    """(H, W, 3) at the same size, by the fastest way."""
    column, row = kernel.sum(axis=1), kernel.sum(axis=0)
    if np.abs(kernel - np.outer(column, row)).max() < 1e-5 * np.abs(kernel).max():
        return np.asarray(cv2.sepFilter2D(image, -1, row, column, borderType=border), np.float32)
    if max(kernel.shape) <= _MAX_DIRECT_SIZE:
        return np.asarray(cv2.filter2D(image, -1, kernel, borderType=border), np.float32)
    (height, width), (down, across) = image.shape[:2], (side // 2 for side in kernel.shape)
    size = tuple(cv2.getOptimalDFTSize(side) for side in (height + 2 * down, width + 2 * across))
    bottom, right = size[0] - height - down, size[1] - width - across
    padded = torch.from_numpy(cv2.copyMakeBorder(image, down, bottom, across, right, border))
    spectrum = torch.fft.rfft2(padded.permute(2, 0, 1))
    # A correlation is a convolution with the kernel rotated by half a turn.
    spectrum *= torch.fft.rfft2(torch.from_numpy(kernel[::-1, ::-1].astype(np.float32)), s=size)
    planes = torch.fft.irfft2(spectrum, s=size).numpy()
    inner = planes[:, 2 * down : 2 * down + height, 2 * across : 2 * across + width]
    return np.asarray(cv2.merge(list(inner)), np.float32)


@lru_cache(maxsize=4)
def _photograph_spectrum(side: int) -> NDArray[np.float64]:
    """The mean power spectrum of photographs, 1 / f^2 (Field 1987, doi 10.1364/JOSAA.4.002379), for ``rfft2``."""
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    power = 1 / np.maximum(down**2 + across**2, (0.5 / side) ** 2)
    power[:, 1:-1] *= 2  # stands for its mirror image too
    return power


@lru_cache(maxsize=128)
def _coarsening_matrix(size: int, factor: int) -> NDArray[np.float64]:
    """The matrix that gathers taps into taps ``factor`` as wide, shared between two neighbors, and then sharpens."""
    if factor == 1:
        return np.eye(size)
    reach = size // 2
    coarse = reach // factor + 2
    distance = np.abs(np.arange(-coarse, coarse + 1)[:, None] * factor - np.arange(-reach, reach + 1)[None, :])
    # Variances in squared pixels: averaging (f^2 - 1) / 12, sharing (f^2 - 1) / 6, bilinear sampling f^2 / 6 where it
    # would have been 1 / 6. A filter (-a, 1 + 2a, -a) has the variance -2a.
    softening = (factor**2 - 1) * (1 / 12 + 1 / 6 + 1 / 6)
    a = softening / factor**2 / 2
    neighbors = np.eye(2 * coarse + 1, k=1) + np.eye(2 * coarse + 1, k=-1)
    return ((1 + 2 * a) * np.eye(2 * coarse + 1) - a * neighbors) @ np.maximum(1 - distance / factor, 0)


def _distance(size: int, sigma_x: float, sigma_y: float | None, theta: float) -> Kernel:
    """(size, size) d^2."""
    check_odd(size)
    sigma_y = sigma_x if sigma_y is None else sigma_y
    axis = np.arange(size) - size // 2
    x, y = axis[None, :], axis[:, None]
    along = np.cos(theta) * x + np.sin(theta) * y
    across = -np.sin(theta) * x + np.cos(theta) * y
    return (along / sigma_x) ** 2 + (across / sigma_y) ** 2


def _normalize(kernel: Kernel) -> Kernel:
    return kernel / kernel.sum()
