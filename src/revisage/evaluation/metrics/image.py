"""Metrics of pixels: PSNR and SSIM of 8-bit images, flicker of videos."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, repeat

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import Array

RGB8 = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


def psnr(a: RGB8, b: RGB8, *, crop_border: int = 0, luma: bool = False) -> float:
    """Peak signal-to-noise ratio in dB over all values of two (H, W, 3) images; infinite if they are equal.

    ``crop_border`` pixels at each edge do not count. With ``luma``, :func:`studio_luma` is compared instead of R, G and
    B; the peak stays 255, as is the custom (ValueError: the shapes differ, or the border leaves nothing).
    """
    x, y = _planes(a, b, crop_border, luma)
    mse = float(np.mean((x - y) ** 2))
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def ssim(a: RGB8, b: RGB8, *, crop_border: int = 0, luma: bool = False) -> float:
    """Structural similarity, mean over R, G, B and the valid region of an 11 x 11 Gaussian window of sigma 1.5.

    Wang et al. 2004, IEEE TIP 13(4), equation 13, with C1 = (0.01 * 255)^2 and C2 = (0.03 * 255)^2. Arguments and
    errors are those of :func:`psnr`; at least 11 x 11 pixels must count.
    """
    x, y = _planes(a, b, crop_border, luma)
    if min(x.shape[:2]) < 11:
        raise ValueError(f"SSIM needs at least 11 x 11 pixels, got {x.shape[0]} x {x.shape[1]}")
    mean_x, mean_y = _window(x), _window(y)
    var_x = _window(x * x) - mean_x**2
    var_y = _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(similarity.mean())


def studio_luma(image: RGB8) -> NDArray[np.float64]:
    """(H, W, 3) uint8 -> (H, W) luma of ITU-R BT.601 in 16..235, not rounded."""
    return image.astype(np.float64) @ (np.array([65.481, 128.553, 24.966]) / 255) + 16


def _planes(a: RGB8, b: RGB8, border: int, luma: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The compared values of each image: (H, W) or (H, W, 3)."""
    if a.shape != b.shape:
        raise ValueError(f"only images of one shape can be compared, got {a.shape} and {b.shape}")
    if 2 * border >= min(a.shape[:2]):
        raise ValueError(f"a border of {border} pixels leaves nothing of {a.shape[0]} x {a.shape[1]}")
    inside = slice(border, -border or None)
    x, y = ((studio_luma(p) if luma else p.astype(np.float64))[inside, inside] for p in (a, b))
    return x, y


def _window(x: Array) -> Array:
    return cv2.GaussianBlur(x, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)[5:-5, 5:-5]


def flicker(video: Iterable[RGB8], truth: Iterable[RGB8] | None = None) -> float:
    """Change between successive frames, beyond that of the truth, in 8-bit levels (root mean square).

    With y the video and x the truth, both (H, W, 3) frames cut out along the motion so that the face holds still:
    sqrt(mean over t, pixels and channels of ((y[t] - y[t-1]) - (x[t] - x[t-1]))^2).

    This is the warping error of Lai et al. 2018 (Learning Blind Video Temporal Consistency) with known instead of
    estimated motion, less true change: light, expression, and the sharpness that motion costs. White noise of standard
    deviation s, drawn anew in every frame, measures sqrt(2) s. An error that is equal in all frames measures 0: the
    metric says how steady a video is, not how good. ``truth`` is None for a face that holds still in constant light.
    Frames are taken in turn; none are kept (ValueError: there are fewer than two, or the two differ in number or
    shape).
    """
    stream: Iterable[RGB8 | int] = repeat(0) if truth is None else truth
    total, values = 0.0, 0
    pairs = zip(video, stream, strict=truth is not None)
    errors: Iterable[Array] = (np.subtract(y, x, dtype=np.float32) for y, x in pairs)
    for before, after in pairwise(errors):
        if before.shape != after.shape:
            raise ValueError(f"frames of {before.shape} and {after.shape} cannot be compared")
        total += float(np.square(after - before, dtype=np.float64).sum())
        values += after.size
    if not values:
        raise ValueError("flicker needs at least two frames")
    return float(np.sqrt(total / values))
