"""Whether a pasted face shows where it ends: gradients across the border of its mask, against those beside it."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.images.pixels import to_float
from revisage.types import Array, FloatImage, Image

Floats = NDArray[np.float32]

SEAM_SIZE = 256
"""Size in pixels of the aligned square in which a seam is measured, so that faces of all sizes compare."""
BORDER = 2.0
"""Pixels of that square on each side of the mask's border that count as border."""
STRIPS = (4.0, 16.0)
"""Pixels of that square between which the strips lie on each side of the border."""
SIGMAS = (0.7, 1.4, 2.8, 5.6)
"""Blurs, in pixels of that square, between which the three octaves lie in which contrast is compared."""
MIN_PIXELS = 50
"""Pixels of the image that border and strips must each show for a defined result."""


def seam(before: Image, after: Image, crop_from_image: Array, mask: FloatImage) -> float:
    """How much the border of a pasted face shows: 1 not at all.

    Let g be the mean absolute derivative of luma across a line, at the mask's border and in two strips beside it::

        seam = (g_border / g_strips) after the paste / (g_border / g_strips) before it

    The image's own edges (hair, collar) stand in both fractions, so 1 means that the paste left no line, whatever it
    did to the texture inside; a step at the border raises the value. The strips are averaged one by one, since a
    restored face may be sharper than its surroundings.

    Args:
        before: (H, W, 3) the image without the face, of any allowed dtype.
        after: (H, W, 3) the image with the face.
        crop_from_image: (2, 3) from pixels of these images to those of the mask.
        mask: (S, S) in [0, 1]; its border is where it crosses 1/2, or ends.

    Returns:
        The ratio; NaN if the image shows hardly anything of the border, or is flat there.
    """
    if before.shape != after.shape:
        raise ValueError(f"before {before.shape} and after {after.shape} differ in size")
    distance = border_distance(mask)
    factor = SEAM_SIZE / len(mask)
    square_from_image = factor * np.asarray(crop_from_image, np.float64)
    square_from_image[:, 2] += (factor - 1) / 2 + _reach()
    ratios = [_border_to_strips(image, square_from_image, distance) for image in (after, before)]
    return ratios[0] / ratios[1] if ratios[1] > 0 else math.nan


def contrast_steps(before: Image, after: Image, crop_from_image: Array, mask: FloatImage) -> Floats:
    """How much sharper a pasted face is, at the border of its mask, than what is beyond it: 1 not at all.

    Let c be the mean absolute value of luma, filtered to one octave, in the strip within the border and in the strip
    beyond it::

        step = (c_within / c_beyond) after the paste / (c_within / c_beyond) before it

    Args:
        before, after, crop_from_image, mask: see :func:`seam`.

    Returns:
        (3,) for three octaves, the finest first; NaN where the image shows hardly anything of a strip.
    """
    distance = border_distance(mask)
    factor = SEAM_SIZE / len(mask)
    square_from_image = factor * np.asarray(crop_from_image, np.float64)
    square_from_image[:, 2] += (factor - 1) / 2 + _reach()
    ratios = [_within_to_beyond(image, square_from_image, distance) for image in (after, before)]
    return np.asarray(ratios[0] / ratios[1], np.float32)


def _within_to_beyond(image: Image, square_from_image: NDArray[np.float64], distance: Floats) -> Floats:
    square, is_shown = _cut_square(image, square_from_image, len(distance))
    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    zones = [(sign * distance >= STRIPS[0]) & (sign * distance <= STRIPS[1]) & is_shown for sign in (-1, 1)]
    if any(zone.sum() < MIN_PIXELS for zone in zones):
        return np.full(3, math.nan, np.float32)
    blurred = [cv2.GaussianBlur(gray, (0, 0), sigma) for sigma in SIGMAS]
    bands = [np.abs(fine - coarse) for fine, coarse in pairwise(blurred)]
    ratios = [band[zones[0]].mean() / max(band[zones[1]].mean(), 1e-6) for band in bands]
    return np.asarray(ratios, np.float32)


def border_distance(mask: FloatImage) -> Floats:
    """Signed distance in pixels to the line where a mask crosses 1/2, negative inside.

    Args:
        mask: (S, S) in [0, 1].

    Returns:
        (n, n) float32, the mask at ``SEAM_SIZE`` and as much around it as the strips need.
    """
    method = cv2.INTER_AREA if len(mask) > SEAM_SIZE else cv2.INTER_LINEAR
    small = cv2.resize(mask, (SEAM_SIZE, SEAM_SIZE), interpolation=method)
    inside = (np.pad(small, _reach()) >= 0.5).astype(np.uint8)  # pixels outside lie at least a pixel from it
    outward, inward = (cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (1 - inside, inside))
    return np.asarray(np.where(inside, 0.5 - inward, outward - 0.5), np.float32)


def _reach() -> int:
    """Pixels around the square that the strips need."""
    return math.ceil(STRIPS[1]) + 2


def _border_to_strips(image: Image, square_from_image: NDArray[np.float64], distance: Floats) -> float:
    square, is_shown = _cut_square(image, square_from_image, len(distance))
    across = np.abs(_derivative_across(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY), distance))
    zones = [np.abs(distance) <= BORDER]
    zones += [(sign * distance >= STRIPS[0]) & (sign * distance <= STRIPS[1]) for sign in (-1, 1)]
    if any((zone & is_shown).sum() < MIN_PIXELS for zone in zones):
        return math.nan
    border, within, beyond = (float(across[zone & is_shown].mean()) for zone in zones)
    return border / ((within + beyond) / 2) if within + beyond > 0 else math.nan


def _cut_square(
    image: Image, square_from_image: NDArray[np.float64], size: int
) -> tuple[FloatImage, NDArray[np.bool_]]:
    """(size, size, 3) cut out of an image, averaged over areas where it shrinks; (size, size) whether it shows it."""
    linear, offset = square_from_image[:, :2], square_from_image[:, 2]
    ends = (np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5 - offset) @ np.linalg.inv(linear).T
    left, top = np.maximum(np.floor(ends.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.maximum(np.ceil(ends.max(axis=0)).astype(int) + 3, (left + 1, top + 1))
    part = to_float(image[top:bottom, left:right])
    if 0 in part.shape:
        return np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.bool_)
    times = max(math.ceil(1 / float(np.hypot(*linear[:, 0]))), 1)
    fine = times * np.column_stack([linear, offset + linear @ (left, top)])
    fine[:, 2] += (times - 1) / 2
    square, coverage = (
        cv2.resize(
            cv2.warpAffine(plane, fine, (size * times, size * times), flags=cv2.INTER_LINEAR), (size, size),
            interpolation=cv2.INTER_AREA,
        )
        for plane in (part, np.ones(part.shape[:2], np.float32))
    )  # fmt: skip
    is_shown = cv2.erode((coverage > 0.999).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(square, np.float32), is_shown


def _derivative_across(gray: Array, distance: Floats) -> Floats:
    """Derivative of an image in the direction in which the distance grows."""
    smooth = cv2.GaussianBlur(distance, (0, 0), 1.5)
    down, right = np.gradient(smooth)
    length = np.maximum(np.hypot(down, right), 1e-6)
    rows, columns = np.gradient(gray)
    return np.asarray((rows * down + columns * right) / length, np.float32)
