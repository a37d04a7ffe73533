"""Bringing a face into the position that restorers are trained for: a similarity transform to a fixed template."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from revisage.errors import InputError
from revisage.tensors import to_float
from revisage.types import AlignedFace, Array, FloatImage, Image

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
OUTSIDE = np.array([132, 133, 135]) / 255
"""RGB in [0, 1] of crop pixels that lie outside of the picture: the gray that the published restorers know."""

_MARGIN = 2  # pixels around the crop's footprint that interpolation may touch


def similarity_from_landmarks(landmarks: ArrayLike, size: int = TEMPLATE_SIZE) -> NDArray[np.float64]:
    """Rotation, scale and shift that take five landmarks to the template.

    Least median of squares (Rousseeuw 1984): a landmark that is far off does not bend the result, unlike least squares.

    Args:
        landmarks: (5, 2) points in pixels of the picture.
        size: side of the crop; the template is scaled with the crop's area, so a smaller crop shows the same.

    Returns:
        (2, 3) crop_from_image.

    Raises:
        InputError: the landmarks are not five finite points, or coincide so that they have no scale.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != TEMPLATE.shape or not np.isfinite(points).all():
        raise InputError(f"a face needs five finite landmarks (x, y), got {points.tolist()}")
    # OpenCV estimates in float32: near the origin, landmarks of a very large picture keep their precision.
    centre = points.mean(axis=0)
    template = resized_points(TEMPLATE, size / TEMPLATE_SIZE)
    estimate, _ = cv2.estimateAffinePartial2D(points - centre, template, method=cv2.LMEDS)
    degenerate = np.ptp(points, axis=0).max() < 1e-3
    if degenerate or estimate is None or not np.isfinite(estimate).all() or np.hypot(*estimate[:, 0]) < 1e-9:
        raise InputError(f"the landmarks coincide, no face can be aligned to them: {points.tolist()}")
    matrix = np.asarray(estimate, np.float64)
    matrix[:, 2] -= matrix[:, :2] @ centre
    return matrix


def align(image: Image, landmarks: ArrayLike, size: int = TEMPLATE_SIZE) -> AlignedFace:
    """Cut out a face and bring it into position. Reads only the part of the picture that the crop shows.

    Linear interpolation; a face much larger than the crop is first reduced by area averages, so that it does not alias.
    What lies outside of the picture becomes ``OUTSIDE``.

    Args:
        image: (H, W, 3) RGB uint8, uint16 or float32.
        landmarks: (5, 2) points in pixels of the picture.
        size: side of the crop in pixels.

    Returns:
        The face, ``crop`` (size, size, 3).

    Raises:
        InputError: the landmarks are degenerate.
    """
    crop_from_image = similarity_from_landmarks(landmarks, size)
    left, top, right, bottom = footprint(invert(crop_from_image), size, image.shape[:2], _MARGIN)
    if left >= right or top >= bottom:
        return AlignedFace(np.broadcast_to(np.float32(OUTSIDE), (size, size, 3)).copy(), crop_from_image)
    region, region_from_part = _reduced(image[top:bottom, left:right], 1 / np.hypot(*crop_from_image[:, 0]))
    image_from_part = shift(left, top)
    crop_from_region = compose(crop_from_image, compose(image_from_part, invert(region_from_part)))
    crop = cv2.warpAffine(
        to_float(region),
        crop_from_region,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE.tolist(),
    )
    return AlignedFace(np.asarray(crop, np.float32), crop_from_image)


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) b_from_a -> (2, 3) a_from_b.

    Raises:
        InputError: the matrix maps to a line or a point.
    """
    try:
        linear = np.linalg.inv(matrix[:, :2])
    except np.linalg.LinAlgError as error:
        raise InputError(f"no inverse: {matrix.tolist()} maps to a line or a point") from error
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def compose(c_from_b: NDArray[np.float64], b_from_a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two (2, 3) maps, the second applied first -> (2, 3) c_from_a."""
    return np.column_stack([c_from_b[:, :2] @ b_from_a[:, :2], c_from_b[:, :2] @ b_from_a[:, 2] + c_from_b[:, 2]])


def resize(x: float, y: float) -> NDArray[np.float64]:
    """(2, 3) map of pixel centres when a picture is resized by these factors: p' = f p + (f - 1) / 2."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def shift(x: float, y: float) -> NDArray[np.float64]:
    """(2, 3) map p' = p + (x, y)."""
    return np.array([[1.0, 0, x], [0, 1.0, y]])


def footprint(
    picture_from_crop: NDArray[np.float64], size: int, shape: tuple[int, ...], margin: int
) -> tuple[int, int, int, int]:
    """The pixels of a picture that a crop of ``size`` covers: left, top, right, bottom (exclusive).

    Args:
        picture_from_crop: (2, 3).
        size: side of the crop.
        shape: height and width of the picture, which the result is clipped to; it may be empty.
        margin: pixels to add on each side.
    """
    corners = np.array([[-0.5, -0.5], [size - 0.5, -0.5], [-0.5, size - 0.5], [size - 0.5, size - 0.5]])
    reached = corners @ picture_from_crop[:, :2].T + picture_from_crop[:, 2]
    height, width = shape[:2]
    low = np.clip(np.floor(reached.min(axis=0)) - margin, 0, [width, height])
    high = np.clip(np.ceil(reached.max(axis=0)) + margin + 1, 0, [width, height])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
