"""Whether a pasted face shows where it ends: gradients across the border of its mask, against those beside it.

Let g be the mean absolute derivative of luma across a line, at the line and in two strips beside it::

    seam = (g_border / g_strips) after the paste / (g_border / g_strips) before it

The picture's own edges (hair, collar) stand in both fractions, so that 1 says that the paste left no line, whatever it
did to the texture on its side; a step that it left there raises the value. Shrink-wrapped restorations, whose texture
changes from soft to sharp, count in the strips on both sides alike, which is why the strips are averaged one by one.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.images.pixels import to_float
from revisage.types import Array, FloatImage, Image

SIDE = 256
"""Side of the aligned square in which is measured, so that faces of all sizes compare."""
BORDER = 2.0
"""Pixels of that square on each side of the line that are the border."""
STRIPS = (4.0, 16.0)
"""Pixels of that square between which the strips lie on each side of the line."""
LEAST = 50
"""Pixels that border and strips must show of the picture to say anything."""

Floats = NDArray[np.float32]


def seam(before: Image, after: Image, crop_from_image: Array, mask: FloatImage) -> float:
    """How much the border of a mask shows; 1 not at all, see the head of this module.

    Args:
        before: (H, W, 3) the picture without the face, of any allowed dtype.
        after: (H, W, 3) the picture with the face.
        crop_from_image: (2, 3) from pixels of these pictures to those of the mask.
        mask: (S, S) in [0, 1]; its border is where it crosses 1/2, or ends.

    Returns:
        The ratio; NaN if the picture shows hardly anything of the border, or is flat there.
    """
    if before.shape != after.shape:
        raise ValueError(f"before {before.shape} and after {after.shape} differ in size")
    distance = border_distance(mask)
    reach = math.ceil(STRIPS[1]) + 2
    square_from_image = _in_square(crop_from_image, len(mask), reach)
    ratios = [_border_to_strips(picture, square_from_image, distance) for picture in (after, before)]
    return ratios[0] / ratios[1] if ratios[1] > 0 else math.nan


def border_distance(mask: FloatImage) -> Floats:
    """Signed distance in pixels to the line where a mask crosses 1/2, negative inside.

    Args:
        mask: (S, S) in [0, 1].

    Returns:
        (n, n) float32, the mask at ``SIDE`` and as much around it as the strips need.
    """
    reach = math.ceil(STRIPS[1]) + 2
    small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA if len(mask) > SIDE else cv2.INTER_LINEAR)
    inside = (np.pad(small, reach) >= 0.5).astype(np.uint8)  # what is not inside lies at least a pixel from it
    outward, inward = (cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (1 - inside, inside))
    return np.asarray(np.where(inside, 0.5 - inward, outward - 0.5), np.float32)


def _in_square(crop_from_image: Array, size: int, reach: int) -> NDArray[np.float64]:
    """(2, 3) to the pixels of ``border_distance``."""
    factor = SIDE / size
    matrix = factor * np.asarray(crop_from_image, np.float64)
    matrix[:, 2] += (factor - 1) / 2 + reach
    return matrix


def _border_to_strips(picture: Image, square_from_image: NDArray[np.float64], distance: Floats) -> float:
    seen, shown = _seen(picture, square_from_image, len(distance))
    across = np.abs(_derivative_across(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), distance))
    zones = [np.abs(distance) <= BORDER]
    zones += [(side * distance >= STRIPS[0]) & (side * distance <= STRIPS[1]) for side in (-1, 1)]
    if any((zone & shown).sum() < LEAST for zone in zones):
        return math.nan
    border, within, beyond = (float(across[zone & shown].mean()) for zone in zones)
    return border / ((within + beyond) / 2) if within + beyond > 0 else math.nan


def _seen(picture: Image, square_from_image: NDArray[np.float64], side: int) -> tuple[FloatImage, NDArray[np.bool_]]:
    """The square cut out of a picture, averaged over areas where it is smaller there; where it shows the picture."""
    linear, offset = square_from_image[:, :2], square_from_image[:, 2]
    ends = (np.array([[0, 0], [side, 0], [0, side], [side, side]]) - 0.5 - offset) @ np.linalg.inv(linear).T
    left, top = np.maximum(np.floor(ends.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.maximum(np.ceil(ends.max(axis=0)).astype(int) + 3, (left + 1, top + 1))
    part = to_float(picture[top:bottom, left:right])
    if 0 in part.shape:
        return np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.bool_)
    times = max(math.ceil(1 / float(np.hypot(*linear[:, 0]))), 1)
    fine = times * np.column_stack([linear, offset + linear @ (left, top)])
    fine[:, 2] += (times - 1) / 2
    seen, whole = (
        cv2.resize(
            cv2.warpAffine(what, fine, (side * times, side * times), flags=cv2.INTER_LINEAR), (side, side),
            interpolation=cv2.INTER_AREA,
        )
        for what in (part, np.ones(part.shape[:2], np.float32))
    )  # fmt: skip
    shown = cv2.erode((whole > 0.999).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(seen, np.float32), shown


def _derivative_across(gray: Array, distance: Floats) -> Floats:
    """Derivative of a picture in the direction in which the distance grows."""
    smooth = cv2.GaussianBlur(distance, (0, 0), 1.5)
    down, right = np.gradient(smooth)
    length = np.maximum(np.hypot(down, right), 1e-6)
    rows, columns = np.gradient(gray)
    return np.asarray((rows * down + columns * right) / length, np.float32)
