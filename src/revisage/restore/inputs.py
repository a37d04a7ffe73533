"""What callers give as a picture, and how an aligned face of any size is made to fit a network."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from revisage.errors import InputError
from revisage.types import Array, FloatImage, Image


def as_image(image: Any) -> Image:
    """Pillow image or array -> (H, W, 3) picture; arrays are checked, not converted.

    Raises:
        InputError: not a picture of the shapes and dtypes that ``revisage.types`` states.
    """
    if hasattr(image, "convert") and hasattr(image, "mode"):
        image = np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise InputError(f"a picture is a numpy array or a Pillow image, not {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"a picture has the shape (height, width, 3), not {image.shape}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"a picture is uint8, uint16 or float32 in [0, 1], not {image.dtype}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise InputError("the picture holds values that are not finite")
    return image


def profile_of(image: Any) -> bytes:
    """The ICC profile that a Pillow image carries; empty for anything else."""
    return getattr(image, "info", {}).get("icc_profile") or b""


def fit(picture: FloatImage, size: int) -> tuple[FloatImage, tuple[int, int]]:
    """Scale to ``size`` on the longer side and extend the other by repeating its edge -> (square crop, used (H, W))."""
    height, width = picture.shape[:2]
    factor = size / max(height, width)
    used = max(round(height * factor), 1), max(round(width * factor), 1)
    method = cv2.INTER_LINEAR if factor >= 1 else cv2.INTER_AREA
    scaled: Array = cv2.resize(picture, used[::-1], interpolation=method)
    square = np.pad(scaled, ((0, size - used[0]), (0, size - used[1]), (0, 0)), mode="edge")
    return square.astype(np.float32), used
