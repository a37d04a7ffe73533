"""Bringing a face into the position that restorers are trained for: a similarity transform to a fixed template."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from revisage.errors import InputError
from revisage.faces.affine import Affine, compose, footprint, invert, magnification, resizing, shift
from revisage.tensors import to_float
from revisage.types import AlignedFace, Array, Image

TEMPLATE: NDArray[np.float64] = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""(5, 2) where the landmarks lie in a crop of 512x512: the FFHQ alignment (Karras et al. 2019), as GFP-GAN uses it."""
TEMPLATE_SIZE = 512
OUTSIDE = (132 / 255, 133 / 255, 135 / 255)
"""RGB of crop pixels outside of the picture: the gray that the published restorers were given."""
MIN_SPREAD = 1e-3
"""Landmarks that lie within so few pixels coincide."""


def similarity_from_landmarks(landmarks: ArrayLike, size: int = TEMPLATE_SIZE) -> Affine:
    """Rotation, scale and shift that take five landmarks to the template.

    Least median of squares (Rousseeuw 1984): unlike in least squares, one landmark far off does not bend the result.

    Args:
        landmarks: (5, 2) points in pixels of the picture.
        size: side of the crop; crops of all sizes show the same part of the picture.

    Returns:
        (2, 3) float64 crop_from_image.

    Raises:
        InputError: the landmarks are not five finite points, or coincide.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != TEMPLATE.shape or not np.isfinite(points).all():
        raise InputError(f"a face needs five finite landmarks (x, y), not {points.tolist()}")
    crop_from_template = resizing(size / TEMPLATE_SIZE, size / TEMPLATE_SIZE)
    target = TEMPLATE @ crop_from_template[:, :2] + crop_from_template[:, 2]
    matrix: Any = cv2.estimateAffinePartial2D(points, target, method=cv2.LMEDS)[0]  # None if it finds none
    spread = float(np.ptp(points, axis=0).max())
    if spread < MIN_SPREAD or matrix is None or not np.isfinite(matrix).all() or magnification(matrix) * spread < 1:
        raise InputError(f"no face can be aligned to landmarks that coincide: {points.tolist()}")
    return matrix.astype(np.float64)


def align(image: Image, landmarks: ArrayLike, size: int = TEMPLATE_SIZE) -> AlignedFace:
    """Cut a face out and bring it into position. Reads only the part of the picture that the crop shows.

    Interpolates linearly. A face at least twice as large as the crop is first reduced by area averages, lest it alias.

    Args:
        image: (H, W, 3) RGB uint8, uint16 or float32.
        landmarks: (5, 2) points in pixels of the picture.
        size: side of the crop in pixels.

    Returns:
        The face; what lies outside of the picture is ``OUTSIDE``.

    Raises:
        InputError: the landmarks are not five finite points, or coincide.
    """
    crop_from_image = similarity_from_landmarks(landmarks, size)
    image_from_crop = invert(crop_from_image)
    reduction = max(math.floor(magnification(image_from_crop)), 1)
    left, top, right, bottom = footprint(image_from_crop, size, image.shape, margin=2 * reduction)
    if left == right or top == bottom:
        return AlignedFace(np.full((size, size, 3), OUTSIDE, np.float32), crop_from_image)
    region, region_from_reduced = _reduced(image[top:bottom, left:right], reduction)
    image_from_reduced = compose(shift(left, top), region_from_reduced)
    crop: Array = cv2.warpAffine(
        to_float(region),
        compose(crop_from_image, image_from_reduced),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE,
    )
    return AlignedFace(crop.astype(np.float32, copy=False), crop_from_image)


def _reduced(region: Array, reduction: int) -> tuple[Array, Affine]:
    """Shrink about ``reduction`` times -> (smaller region, (2, 3) region_from_reduced)."""
    if reduction == 1:
        return region, shift(0, 0)
    height, width = region.shape[:2]
    small_width, small_height = max(round(width / reduction), 1), max(round(height / reduction), 1)
    reduced = cv2.resize(region, (small_width, small_height), interpolation=cv2.INTER_AREA)
    return reduced, resizing(width / small_width, height / small_height)
