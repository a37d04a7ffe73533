"""PSNR and SSIM of 8-bit pictures, as the face-restoration literature computes them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import Array

RGB8 = NDArray[np.uint8]


def psnr(a: RGB8, b: RGB8) -> float:
    """Peak signal-to-noise ratio in dB over all values of two (H, W, 3) pictures; infinite if they are equal."""
    _same_shape(a, b)
    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def ssim(a: RGB8, b: RGB8) -> float:
    """Structural similarity, mean over R, G, B and the valid region of an 11 x 11 Gaussian window of sigma 1.5.

    Wang et al. 2004, IEEE TIP 13(4), equation 13, with C1 = (0.01 * 255)^2 and C2 = (0.03 * 255)^2.
    """
    _same_shape(a, b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x = _window(x * x) - mean_x**2
    var_y = _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(similarity.mean())


def _window(x: Array) -> Array:
    return cv2.GaussianBlur(x, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)[5:-5, 5:-5]


def _same_shape(a: RGB8, b: RGB8) -> None:
    if a.shape != b.shape:
        raise ValueError(f"only pictures of one shape can be compared, got {a.shape} and {b.shape}")
