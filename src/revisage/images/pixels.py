"""Conversions between number formats of images, and between images and network input. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from revisage.types import FloatImage, Image


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


def to_nchw(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
    """N images (H, W, 3) in [0, 1] -> network input (N, 3, H, W) in [-1, 1], contiguous."""
    batch = np.stack(crops).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, np.float32) * np.float32(2) - np.float32(1)


def from_nchw(batch: NDArray[np.float32]) -> list[FloatImage]:
    """Network output (N, 3, H, W) in [-1, 1] -> N images (H, W, 3), clipped to [0, 1]."""
    images = np.clip((batch + np.float32(1)) / np.float32(2), 0, 1).transpose(0, 2, 3, 1)
    return [np.ascontiguousarray(image) for image in images]
