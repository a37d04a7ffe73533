"""Transparency: what lies under it must not bleed into what is visible when an image is resampled.

Fully transparent pixels have hidden colors, often black. Networks and filters are given an image in which the visible
colors go on under the transparency (``extend_colors``). The result gets its transparency back, and along soft edges the
colors that resampling premultiplied pixels gives (``with_alpha``).
"""

from __future__ import annotations

import cv2
import numpy as np

from revisage.images.pixels import from_float, to_float
from revisage.types import Array, FloatImage

_REACH = 4
"""Pixels that a Lanczos filter looks aside: so far colors are continued one pixel at a time, beyond only coarsely."""
_MIN_ALPHA = 1 / 255


def is_transparent(pixels: Array) -> bool:
    """Whether an image (H, W, 1..4), uint8 or uint16, has an alpha channel that is not opaque throughout."""
    return pixels.shape[2] in (2, 4) and not (pixels[:, :, -1] == np.iinfo(pixels.dtype).max).all()


def extend_colors(pixels: Array) -> Array:
    """Continue the visible colors under the transparency: (H, W, 2 or 4), not premultiplied -> (H, W, 1 or 3).

    The dtype stays, uint8, uint16 or float32 in [0, 1]. Only pixels of alpha 0 differ; none if nothing or everything is
    visible.
    """
    colors = np.ascontiguousarray(pixels[:, :, :-1])
    hidden = pixels[:, :, -1] == 0
    if not hidden.any() or hidden.all():
        return colors
    weighted = _premultiply(pixels)
    for _ in range(_REACH):
        spread: Array = cv2.boxFilter(weighted, -1, (3, 3))
        reached = (weighted[:, :, -1] == 0) & (spread[:, :, -1] > 0)
        weighted[reached] = spread[reached]
    colors[hidden] = from_float(_fill(weighted)[hidden], colors.dtype)
    return colors


def with_alpha(image: Array, source: Array) -> Array:
    """Give an image (H, W, 1 or 3), made from ``extend_colors(source)``, the transparency of ``source`` (h, w, 2 or 4).

    Dtypes and sizes may differ -> (H, W, 2 or 4) of the image's dtype. Without resampling, hidden colors are the
    source's.
    """
    dtype, size = image.dtype, image.shape[:2]
    if size == source.shape[:2]:
        kept = from_float(to_float(source), dtype) if source.dtype != dtype else source
        hidden = kept[:, :, -1:] == 0
        hidden_colors = kept[:, :, :1] if image.shape[2] == 1 else kept[:, :, :-1]
        return np.dstack([np.where(hidden, hidden_colors, image), kept[:, :, -1]])
    weighted = _resize(_premultiply(source), size)
    alpha = weighted[:, :, -1:]
    soft = (alpha > _MIN_ALPHA) & (alpha < 1 - _MIN_ALPHA)
    straight = weighted[:, :, :-1] / np.maximum(alpha, _MIN_ALPHA)
    difference = np.where(soft, straight - _resize(to_float(extend_colors(source)), size), 0)
    if difference.shape[2] > image.shape[2]:
        difference = difference.mean(axis=2, keepdims=True)
    corrected = np.asarray(to_float(image) + difference, np.float32)
    colors = np.where(soft, from_float(corrected, dtype), image)
    return np.dstack([colors, from_float(alpha, dtype)])


def _premultiply(pixels: Array) -> FloatImage:
    """(H, W, 2 or 4) -> float32 in [0, 1], the colors times alpha."""
    scaled = to_float(pixels).copy()
    scaled[:, :, :-1] *= scaled[:, :, -1:]
    return scaled


def _fill(weighted: FloatImage) -> FloatImage:
    """Premultiplied (H, W, 2 or 4) -> colors (H, W, 1 or 3), pixels of weight 0 filled from ever coarser averages."""
    height, width = weighted.shape[:2]
    weight = weighted[:, :, -1:]
    colors = np.asarray(weighted[:, :, :-1] / np.maximum(weight, 1e-6), np.float32)
    if weight.min() > 0 or max(height, width) == 1:
        return colors
    half = (height + 1) // 2, (width + 1) // 2
    coarse = _fill(_resample(weighted, half, cv2.INTER_AREA))
    filled = np.where(weight > 0, colors, _resample(coarse, (height, width), cv2.INTER_LINEAR))
    return np.asarray(filled, np.float32)


def _resize(pixels: FloatImage, size: tuple[int, int]) -> FloatImage:
    """Resample as the background is: Lanczos to enlarge, area averages to shrink."""
    return _resample(pixels, size, cv2.INTER_LANCZOS4 if size[0] >= pixels.shape[0] else cv2.INTER_AREA)


def _resample(pixels: FloatImage, size: tuple[int, int], method: int) -> FloatImage:
    resized = np.asarray(cv2.resize(pixels, size[::-1], interpolation=method), np.float32)
    return resized.reshape(*size, -1)  # OpenCV drops the axis of a single channel
