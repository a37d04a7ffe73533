"""Gaussian blur kernels of the GFP-GAN degradation (Wang et al. 2021, arXiv 2101.04061, section 4.1).

A kernel of odd ``size`` is sampled on an integer mesh centred at 0 and sums to 1. Its covariance is
R diag(sigma_x^2, sigma_y^2) R^T with R = [[cos t, -sin t], [sin t, cos t]].
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import Array, FloatImage


def gaussian_axis(size: int, sigma: float) -> NDArray[np.float64]:
    """(size,) one axis of an isotropic Gaussian: the (size, size) kernel is its outer product with itself."""
    axis = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * (axis / sigma) ** 2)
    return kernel / kernel.sum()


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0) -> NDArray[np.float64]:
    """(size, size) Gaussian; isotropic without ``sigma_y``. Sigmas in pixels, ``theta`` in radians."""
    if size % 2 == 0:
        raise ValueError(f"a kernel has a centre, so its size is odd, not {size}")
    sigma_y = sigma_x if sigma_y is None else sigma_y
    axis = np.arange(size) - size // 2
    x, y = np.meshgrid(axis, axis)
    along = np.cos(theta) * x + np.sin(theta) * y
    across = -np.sin(theta) * x + np.cos(theta) * y
    kernel = np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))
    return kernel / kernel.sum()


def blur(image: FloatImage, size: int, sigma_x: float, sigma_y: float | None = None, theta: float = 0.0) -> FloatImage:
    """Convolve with :func:`gaussian_kernel`, border mirrored without repeating the edge pixel.

    An isotropic kernel is separable: two passes of ``size`` taps instead of one of ``size`` squared, same result.
    """
    if sigma_y is None:
        axis = gaussian_axis(size, sigma_x)
        return np.asarray(cv2.sepFilter2D(image, -1, axis, axis), np.float32)
    kernel: Array = gaussian_kernel(size, sigma_x, sigma_y, theta)
    return np.asarray(cv2.filter2D(image, -1, kernel), np.float32)
