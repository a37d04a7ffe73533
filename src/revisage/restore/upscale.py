"""Enlarging the whole picture: the background on which restored faces are put."""

from __future__ import annotations

import cv2
import numpy as np

from revisage.errors import InputError
from revisage.types import Image

MAX_SCALE = 8.0


def lanczos(image: Image, scale: float) -> Image:
    """(H, W, 3) of any dtype -> (round(H * scale), round(W * scale), 3), same dtype.

    Lanczos over 8 x 8 pixels to enlarge, area averages to shrink. Pixel centres map as
    x' = scale * x + (scale - 1) / 2, exactly, also where the new size had to be rounded. Scale 1 returns the
    picture itself.

    Raises:
        InputError: ``scale`` is not in (0, 8], or nothing would be left.
    """
    enlarged_size(image, scale)
    if scale == 1:
        return image
    method = cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
    # Giving the factors rather than the size keeps the mapping exact.
    enlarged = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
    if image.dtype == np.float32:
        enlarged = np.clip(enlarged, 0, 1)  # Lanczos overshoots; integers are clipped by OpenCV itself
    return enlarged.astype(image.dtype, copy=False)


def enlarged_size(image: Image, scale: float) -> tuple[int, int]:
    """(height, width) of a picture at a scale.

    Raises:
        InputError: ``scale`` is not in (0, 8], or nothing would be left.
    """
    if not 0 < scale <= MAX_SCALE:
        raise InputError(f"scale must be above 0 and at most {MAX_SCALE:g}, not {scale:g}")
    height, width = image.shape[:2]
    size = round(height * scale), round(width * scale)
    if 0 in size:
        raise InputError(f"nothing would be left of a {width} x {height} picture at scale {scale:g}")
    return size
