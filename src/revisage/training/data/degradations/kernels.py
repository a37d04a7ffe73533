"""Blur kernels of degradations as formulas (Wang et al. 2021, arXiv 2107.10833, section 3.2 and appendix A).

A kernel of odd ``size`` is sampled on an integer mesh centred at 0 and sums to 1. Its form is a function of the
distance d^2 = x^T S^-1 x with S = R diag(sigma_x^2, sigma_y^2) R^T and R = [[cos t, -sin t], [sin t, cos t]]: a
Gaussian has the covariance S. Sigmas are in pixels, angles in radians; without ``sigma_y`` a kernel is isotropic.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import Array, FloatImage

Kernel = NDArray[np.float64]
"""(size, size), sums to 1."""


def gaussian_axis(size: int, sigma: float) -> Kernel:
    """(size,) one axis of an isotropic Gaussian: the (size, size) kernel is its outer product with itself."""
    axis = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * (axis / sigma) ** 2)
    return kernel / kernel.sum()


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0) -> Kernel:
    """(size, size) Gaussian: exp(-d^2 / 2)."""
    return _normalised(np.exp(-0.5 * _distance(size, sigma_x, sigma_y, theta)))


def generalized_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0, *, beta: float
) -> Kernel:
    """(size, size) generalized Gaussian: exp(-(d^2)^beta / 2); flatter than a Gaussian for ``beta`` above 1."""
    return _normalised(np.exp(-0.5 * _distance(size, sigma_x, sigma_y, theta) ** beta))


def plateau_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0, *, beta: float
) -> Kernel:
    """(size, size) plateau: 1 / ((d^2)^beta + 1), the disc of a lens out of focus for large ``beta``."""
    return _normalised(1 / (_distance(size, sigma_x, sigma_y, theta) ** beta + 1))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """(size, size) circular low-pass, which rings: cutoff J1(cutoff r) / (2 pi r), ``cutoff`` in radians a pixel."""
    _check(size)
    axis = np.arange(size) - size // 2
    # The value at 0 is the limit; the other distances occur many times each.
    squares, places = np.unique(axis[:, None] ** 2 + axis[None, :] ** 2, return_inverse=True)
    radius = np.sqrt(squares[1:])
    profile = np.append(cutoff**2 / (4 * np.pi), cutoff * bessel_j1(cutoff * radius) / (2 * np.pi * radius))
    return _normalised(profile[places].reshape(size, size))


def noisy_kernel(kernel: Kernel, noise: tuple[float, float], rng: np.random.Generator) -> Kernel:
    """Each value times a factor drawn from ``noise``, the sum again 1."""
    return _normalised(kernel * rng.uniform(*noise, size=kernel.shape))


def bessel_j1(x: Array) -> NDArray[np.float64]:
    """Bessel function of the first kind, order one: J1(x) = 1/pi of the integral of cos(t - x sin t) over t in [0, pi].

    The trapezoid rule with n points on a whole period of this integrand is exact but for Bessel functions of the orders
    n - 1 and above, which vanish to double precision for n > |x| + 60.
    """
    x = np.asarray(x, np.float64)
    points = int(np.abs(x).max(initial=0)) + 61
    angles = np.arange(points) * (2 * np.pi / points)
    return np.cos(angles - x[..., None] * np.sin(angles)).mean(axis=-1)


def blur(image: FloatImage, size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0) -> FloatImage:
    """Convolve with :func:`gaussian_kernel`, border mirrored without repeating the edge pixel.

    An isotropic kernel is separable: two passes of ``size`` taps instead of one of ``size`` squared, same result.
    """
    if sigma_y is None:
        axis = gaussian_axis(size, sigma_x)
        return np.asarray(cv2.sepFilter2D(image, -1, axis, axis), np.float32)
    kernel: Array = gaussian_kernel(size, sigma_x, sigma_y, theta)
    return np.asarray(cv2.filter2D(image, -1, kernel), np.float32)


def _distance(size: int, sigma_x: float, sigma_y: float | None, theta: float) -> Kernel:
    """(size, size) d^2."""
    _check(size)
    sigma_y = sigma_x if sigma_y is None else sigma_y
    axis = np.arange(size) - size // 2
    x, y = axis[None, :], axis[:, None]
    along = np.cos(theta) * x + np.sin(theta) * y
    across = -np.sin(theta) * x + np.cos(theta) * y
    return (along / sigma_x) ** 2 + (across / sigma_y) ** 2


def _normalised(kernel: Kernel) -> Kernel:
    return kernel / kernel.sum()


def _check(size: int) -> None:
    if size % 2 == 0:
        raise ValueError(f"a kernel has a centre, so its size is odd, not {size}")
