"""Bringing a face into the position that restorers are trained for: a similarity transform to a fixed template."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from revisage.errors import InputError
from revisage.geometry import Affine, compose, footprint, invert, magnification, resizing, shift
from revisage.images.pixels import is_gray, to_float
from revisage.restore.face_job import FaceJob
from revisage.types import AlignedFace, Array, FaceStatus, Image

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
"""RGB of crop pixels outside of the image: the gray that the published restorers were given."""
MIN_SPREAD = 1e-3
"""Landmarks that lie within so few pixels coincide."""
EXPLAINED = 24.0
"""Pixels of the template within which a landmark lies where an alignment says."""
MAX_STRETCH, MAX_TURN = 1.5, math.radians(25)
"""How far an alignment may differ, in scale and in angle, from what eyes and mouth say. Over 1,400 detected faces, some
of them turned, it differed by factors of 0.96 to 1.09 and by 4 degrees."""
MAX_BOX_STRETCH = 2.5
"""How far it may differ in scale from what the box says; among those it was 0.92 to 1.72 times as large."""
BOX_SHARE = 1 / 1.8
"""Width of a face as a share of its crop; boxes are 1.36 times as high as wide."""


def similarity_from_landmarks(landmarks: ArrayLike, size: int = TEMPLATE_SIZE, box: ArrayLike | None = None) -> Affine:
    """(2, 3) crop_from_image: rotation, scale and shift that take five landmarks (5, 2) to the template.

    Least median of squares (Rousseeuw 1984): unlike in least squares, one landmark far off does not bend the result. On
    faces in profile it can fit three points and stretch the rest beyond recognition. So unless it explains four
    landmarks it must agree with eyes and mouth; otherwise those alone decide, or the box (4,), if it is known.
    InputError: the landmarks are not five finite points, or coincide.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != TEMPLATE.shape or not np.isfinite(points).all():
        raise InputError(f"a face needs five finite landmarks (x, y), not {points.tolist()}")
    matrix: Any = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]  # None if it finds none
    spread = float(np.ptp(points, axis=0).max())
    if spread < MIN_SPREAD or matrix is None or not np.isfinite(matrix).all() or magnification(matrix) * spread < 1:
        raise InputError(f"no face can be aligned to landmarks that coincide: {points.tolist()}")
    template_from_image = _agreeing_with_landmarks(matrix.astype(np.float64), points)
    if box is not None:
        template_from_image = _agreeing_with_box(template_from_image, np.asarray(box, np.float64))
    return compose(resizing(size / TEMPLATE_SIZE, size / TEMPLATE_SIZE), template_from_image)


def _agreeing_with_landmarks(template_from_image: Affine, points: NDArray[np.float64]) -> Affine:
    """The same alignment; or one from eyes and mouth, where it is far from that and fits less than four landmarks."""
    off = np.linalg.norm(points @ template_from_image[:, :2].T + template_from_image[:, 2] - TEMPLATE, axis=1)
    coarse = _from_eyes_and_mouth(points)
    if (off < EXPLAINED).sum() >= len(points) - 1 or coarse is None:
        return template_from_image
    change = compose(template_from_image, invert(coarse))
    stretch, turn = magnification(change), abs(math.atan2(change[1, 0], change[0, 0]))
    alike = turn <= MAX_TURN and 1 / MAX_STRETCH < stretch < MAX_STRETCH
    return template_from_image if alike else coarse


def _agreeing_with_box(template_from_image: Affine, box: NDArray[np.float64]) -> Affine:
    """The same alignment, or one to the middle and size of the box where it shows a far larger or smaller part."""
    if not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
        return template_from_image
    width = math.sqrt(float((box[2:] - box[:2]).prod()) / 1.36)
    stretch = magnification(template_from_image) * width / (BOX_SHARE * TEMPLATE_SIZE)
    if 1 / MAX_BOX_STRETCH < stretch < MAX_BOX_STRETCH:
        return template_from_image
    return _about((box[:2] + box[2:]) / 2, TEMPLATE.mean(axis=0), template_from_image[:, :2] / stretch)


def _from_eyes_and_mouth(points: NDArray[np.float64]) -> Affine | None:
    """(2, 3) template_from_image by the middle of the eyes and that of the mouth, None if they coincide.

    The scale is that of the longer of two lengths, from eyes to mouth and between the eyes: the one shrinks when a head
    nods, the other when it turns.
    """
    (eyes, mouth), (target_eyes, target_mouth) = (
        (five[:2].mean(axis=0), five[3:].mean(axis=0)) for five in (points, TEMPLATE)
    )
    here, there = (complex(*vector) for vector in (mouth - eyes, target_mouth - target_eyes))
    across = float(np.linalg.norm(points[1] - points[0]))
    if abs(here) < MIN_SPREAD:
        return None
    turn = there / here
    scale = min(abs(turn), float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])) / max(across, MIN_SPREAD))
    turn *= scale / abs(turn)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return _about((eyes + mouth) / 2, (target_eyes + target_mouth) / 2, linear)


def _about(source: NDArray[np.float64], target: NDArray[np.float64], linear: NDArray[np.float64]) -> Affine:
    """The affine map of this linear part that takes one point to another."""
    return np.column_stack([linear, target - linear @ source])


def align(image: Image, landmarks: ArrayLike, size: int = TEMPLATE_SIZE, box: ArrayLike | None = None) -> AlignedFace:
    """Cut a face out and bring it into position. Reads only the part of the image that the crop shows.

    Interpolates linearly. A face at least twice as large as the crop is first reduced by area averages, lest it alias.

    Args:
        image: (H, W, 3) RGB uint8, uint16 or float32.
        landmarks: (5, 2) points in pixels of the image.
        size: side of the crop in pixels.
        box: (4,) of the face; what the landmarks say is checked against it.

    Returns:
        The face; what lies outside of the image is ``OUTSIDE``, or its gray if the image is gray there.

    Raises:
        InputError: the landmarks are not five finite points, or coincide.
    """
    return crop_face(image, similarity_from_landmarks(landmarks, size, box), size)


def crop_face(image: Image, crop_from_image: Affine, size: int) -> AlignedFace:
    """Cut a face out by a known similarity, (2, 3) float64; see :func:`align`."""
    image_from_crop = invert(crop_from_image)
    reduction = max(math.floor(magnification(image_from_crop)), 1)
    left, top, right, bottom = footprint(image_from_crop, size, image.shape, margin=2 * reduction)
    if left == right or top == bottom:
        return AlignedFace(np.full((size, size, 3), OUTSIDE, np.float32), crop_from_image)
    region, region_from_reduced = _reduce(image[top:bottom, left:right], reduction)
    image_from_reduced = compose(shift(left, top), region_from_reduced)
    crop: Array = cv2.warpAffine(
        to_float(region),
        compose(crop_from_image, image_from_reduced),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=OUTSIDE if not is_gray(region) else (OUTSIDE[1],) * 3,
    )
    return AlignedFace(crop.astype(np.float32, copy=False), crop_from_image)


def align_job(job: FaceJob, image: Image, size: int) -> FaceJob:
    """Align an active face of an image; it fails if its landmarks allow no alignment."""
    if not job.is_active or job.face is None:
        return job
    try:
        return replace(job, aligned=align(image, job.face.landmarks, size, job.face.box))
    except InputError as error:
        return job.stop(FaceStatus.FAILED, str(error))


def _reduce(region: Array, reduction: int) -> tuple[Array, Affine]:
    """Shrink about ``reduction`` times -> (smaller region, (2, 3) region_from_reduced)."""
    if reduction == 1:
        return region, shift(0, 0)
    height, width = region.shape[:2]
    small_width, small_height = max(round(width / reduction), 1), max(round(height / reduction), 1)
    reduced = cv2.resize(region, (small_width, small_height), interpolation=cv2.INTER_AREA)
    return reduced, resizing(width / small_width, height / small_height)
