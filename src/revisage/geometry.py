"""Affine maps between pixel grids, (2, 3) float64, named ``target_from_source``; pixel centres are integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError

Affine = NDArray[np.float64]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; the last two are exclusive."""


def invert(b_from_a: Affine) -> Affine:
    """-> (2, 3) a_from_b (InputError: the map is not finite or squeezes the plane to a line or a point)."""
    linear = b_from_a[:, :2]
    if not np.isfinite(b_from_a).all() or abs(np.linalg.det(linear)) < 1e-18:
        raise InputError(f"the affine map {b_from_a.tolist()} has no inverse")
    inverse = np.linalg.inv(linear).astype(np.float64)
    return np.column_stack([inverse, -inverse @ b_from_a[:, 2]])


def compose(c_from_b: Affine, b_from_a: Affine) -> Affine:
    """-> (2, 3) c_from_a."""
    offset = c_from_b[:, :2] @ b_from_a[:, 2] + c_from_b[:, 2]
    return np.column_stack([c_from_b[:, :2] @ b_from_a[:, :2], offset])


def resizing(x: float, y: float) -> Affine:
    """Where pixel centres go when an image is resized by these factors: p' = f p + (f - 1) / 2."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def shift(x: float, y: float) -> Affine:
    """Translation p' = p + (x, y)."""
    return np.array([[1.0, 0, x], [0, 1.0, y]])


def magnification(similarity: Affine) -> float:
    """Lengths in the target over lengths in the source."""
    return float(np.hypot(similarity[0, 0], similarity[1, 0]))


def smoothstep(values: NDArray[Any], start: float, end: float) -> NDArray[np.float32]:
    """0 up to ``start``, 1 from ``end`` on, and a cubic without kinks between them; ``end`` may be the lower one."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def footprint(picture_from_crop: Affine, size: int, shape: tuple[int, ...], margin: int) -> Box:
    """The part of an image that a square crop covers.

    Args:
        picture_from_crop: (2, 3).
        size: side of the crop.
        shape: (height, width, ...) of the image.
        margin: pixels to add on each side.

    Returns:
        A box inside the image, empty (left == right or top == bottom) if the crop lies outside.
    """
    edges = np.array([-0.5, size - 0.5])
    corners = np.array([(x, y) for x in edges for y in edges])
    reached = corners @ picture_from_crop[:, :2].T + picture_from_crop[:, 2]
    limits = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(reached.min(axis=0)) - margin, 0, limits).astype(int)
    high = np.clip(np.ceil(reached.max(axis=0)) + margin + 1, 0, limits).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def intersection(a: Box, b: Box) -> Box | None:
    """The part common to two boxes, None if there is none."""
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (left, top, right, bottom) if left < right and top < bottom else None
