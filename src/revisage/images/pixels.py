"""Conversions between number formats of images, and between images and network input. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from revisage.errors import InputError
from revisage.types import Array, FloatImage, Image

TOLERANCE = 1e-3
"""By how much float images may leave [0, 1]: filters round."""
ROWS = 32
"""Rows of a large image that are worked on at a time: as floats all of it would take several times its memory."""


def to_float(image: Image) -> FloatImage:
    """Image of any allowed dtype -> float32 in [0, 1]; float32 is returned as it is."""
    if image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    if image.dtype == np.uint16:
        return image.astype(np.float32) / np.float32(65535)
    if image.dtype == np.float32:
        return np.asarray(image, np.float32)
    raise TypeError(f"images are uint8, uint16 or float32, not {image.dtype}")


def from_float(image: FloatImage, dtype: DTypeLike) -> Image:
    """Float image -> ``dtype``: clipped to [0, 1], scaled, rounded half to even (never truncated)."""
    clipped = np.clip(image, 0, 1)
    if dtype == np.float32:
        return clipped
    if dtype == np.uint8:
        return np.rint(clipped * np.float32(255)).astype(np.uint8)
    if dtype == np.uint16:
        return np.rint(clipped * np.float32(65535)).astype(np.uint16)
    raise TypeError(f"images are uint8, uint16 or float32, not {dtype}")


def by_rows(change: Callable[..., FloatImage], *images: Image, result: Image) -> Image:
    """Apply a function of float images to some rows at a time.

    Args:
        change: (h, W, 3) float32 in [0, 1] of each image -> the same shape.
        images: (H, W, 3) of any allowed dtypes.
        result: (H, W, 3) is written to; it may be one of the images.
    """
    for top in range(0, len(result), ROWS):
        rows = slice(top, top + ROWS)
        result[rows] = from_float(change(*(to_float(image[rows]) for image in images)), result.dtype)
    return result


def is_gray(image: Array) -> bool:
    """Whether R = G = B in every pixel of (H, W, 3 or 4), exactly."""
    for top in range(0, len(image), ROWS):  # nearly always the first rows tell
        rows = image[top : top + ROWS]
        if (rows[..., 0] != rows[..., 1]).any() or (rows[..., 0] != rows[..., 2]).any():
            return False
    return True


def to_nchw(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
    """N images (H, W, 3) in [0, 1] -> network input (N, 3, H, W) in [-1, 1], contiguous."""
    batch = np.stack(crops).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, np.float32) * np.float32(2) - np.float32(1)


def from_nchw(batch: NDArray[np.float32]) -> list[FloatImage]:
    """Network output (N, 3, H, W) in [-1, 1] -> N images (H, W, 3), clipped to [0, 1]."""
    images = np.clip((batch + np.float32(1)) / np.float32(2), 0, 1).transpose(0, 2, 3, 1)
    return [np.ascontiguousarray(image) for image in images]


def check_array(image: Any) -> Image:
    """Check an image that a caller gave as an array.

    Returns (H, W, 3 or 4) RGB or RGBA uint8, uint16 or float32 in [0, 1]: ``image`` itself, or a copy in the byte order
    of the machine (InputError: anything else; the message says what to do).
    """
    if not isinstance(image, np.ndarray):
        hint = "; read it with revisage.read_image" if isinstance(image, str | bytes | PathLike) else ""
        hint = "; use .numpy(), with channels last" if hasattr(image, "numpy") else hint
        raise InputError(f"an image is a numpy array or a Pillow image, not {type(image).__name__}{hint}")
    pixels: Array = image
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
        hint = _shape_hint(pixels)
        raise InputError(f"an image has the shape (height, width, 3), or 4 with alpha, not {pixels.shape}{hint}")
    if pixels.dtype.name not in ("uint8", "uint16", "float32"):
        hint = '; use image.astype("float32")' if pixels.dtype.kind == "f" else ""
        raise InputError(f"an image is uint8, uint16 or float32 in [0, 1], not {pixels.dtype}{hint}")
    if pixels.dtype.name == "float32":
        low, high = float(pixels.min()), float(pixels.max())
        if not np.isfinite([low, high]).all():
            raise InputError("the image holds values that are not finite")
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            hint = "; divide it by 255" if low >= 0 and 2 < high <= 255.5 else ""
            raise InputError(f"a float32 image holds values in [0, 1], not {low:g} to {high:g}{hint}")
    return pixels if pixels.dtype.isnative else pixels.astype(pixels.dtype.newbyteorder("="))


def _shape_hint(pixels: Array) -> str:
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1):
        return "; make gray RGB by np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)"
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4):
        return "; use image.transpose(1, 2, 0)"
    return ""
