"""The fine grain of a photo: what of it a restoration took away, and how to put it back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import FloatImage

REACH = 1.5
"""Standard deviation, in pixels of the photo, of the blur that separates grain from what is coarser."""
WINDOW = 6.0
"""Over how many of those the amplitude is compared with the noise level, to tell grain from edges."""
EDGE = 1.5
"""How many noise levels the local amplitude may have before it counts as structure and is held back."""
LIMIT = 3.0
"""Noise levels beyond which a single pixel is cut off."""


def noise_level(residual: FloatImage) -> NDArray[np.float32]:
    """Standard deviation of noise in a high-pass residual, robust against edges.

    The median absolute deviation (Donoho and Johnstone 1994) of its middle: the corners of a crop may lie outside of
    the photo.

    Args:
        residual: (H, W, C) float32 around 0.

    Returns:
        (C,) float32.
    """
    height, width = residual.shape[:2]
    middle = residual[height // 6 : height - height // 6, width // 6 : width - width // 6]
    values = middle.reshape(-1, residual.shape[2])
    return (1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)).astype(np.float32)


def lost_grain(before: FloatImage, after: FloatImage, magnification: float) -> FloatImage:
    """The fine grain that ``before`` has and ``after`` lacks, without the edges in which they differ too.

    Args:
        before: (H, W, 3) float32 in [0, 1], the crop from the photo.
        after: likewise, restored.
        magnification: pixels of the crop that a pixel of the photo fills; grain is as much coarser in the crop.

    Returns:
        (H, W, 3) float32 around 0; ``after`` plus this has the grain of ``before``.
    """
    sigma = REACH * max(magnification, 1.0)
    removed = before - after
    residual = removed - cv2.GaussianBlur(removed, (0, 0), sigma)
    level = noise_level(residual)
    energy = cv2.GaussianBlur(residual * residual, (0, 0), WINDOW * sigma / 2)
    kept = np.minimum(1, (EDGE * level) ** 2 / np.maximum(energy, np.float32(1e-12)))
    return np.clip(residual * kept, -LIMIT * level, LIMIT * level).astype(np.float32)


def with_grain(before: FloatImage, after: FloatImage, amount: float, magnification: float) -> FloatImage:
    """``after`` with ``amount`` (0..1) of the grain that it lost; (H, W, 3) float32 in [0, 1]."""
    if not amount:
        return after
    return np.clip(after + np.float32(amount) * lost_grain(before, after, magnification), 0, 1).astype(np.float32)
