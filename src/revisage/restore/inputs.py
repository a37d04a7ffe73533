"""Images as callers give them, checked and converted; aligned faces of any size, fitted to a network."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from revisage.errors import InputError
from revisage.images.pixels import to_float
from revisage.types import Array, FloatImage, Image


def as_image(image: Any) -> Image:
    """Pillow image or array -> (H, W, 3) image; arrays are checked, not converted.

    Raises:
        InputError: no image of the shapes and dtypes in ``revisage.types``.
    """
    if hasattr(image, "convert") and hasattr(image, "mode"):
        image = np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise InputError(f"an image is a numpy array or a Pillow image, not {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"an image has the shape (height, width, 3), not {image.shape}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"an image is uint8, uint16 or float32 in [0, 1], not {image.dtype}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise InputError("the image holds values that are not finite")
    return image


def icc_profile(image: Any) -> bytes:
    """The ICC profile that a Pillow image carries; empty for anything else."""
    return getattr(image, "info", {}).get("icc_profile") or b""


def resize_and_pad(image: Image, size: int) -> tuple[FloatImage, tuple[int, int]]:
    """Scale the longer side to ``size``, repeat the edge of the other -> (square crop, (height, width) in use)."""
    height, width = image.shape[:2]
    factor = size / max(height, width)
    used = max(round(height * factor), 1), max(round(width * factor), 1)
    method = cv2.INTER_LINEAR if factor >= 1 else cv2.INTER_AREA
    scaled: Array = cv2.resize(to_float(image), used[::-1], interpolation=method)
    square = np.pad(scaled, ((0, size - used[0]), (0, size - used[1]), (0, 0)), mode="edge")
    return square.astype(np.float32), used
