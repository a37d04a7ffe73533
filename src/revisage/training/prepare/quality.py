"""What makes an aligned face a good example to learn from: measures of it, limits on them, and a fingerprint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.geometry import Affine, magnification
from revisage.types import Array, FloatImage

Floats = NDArray[np.float32]
Fingerprint = NDArray[np.uint64]
"""(4,) words of 64 bits."""

SHARPNESS_SIDE = 256
"""Side of the crop at which sharpness is measured, so that faces of all sizes compare."""
FINGERPRINT_SIDE = 64
FINGERPRINT_WAVES = 16
SKIN = slice(0.35, 0.8), slice(0.3, 0.7)
"""Rows and columns of a crop, as shares of its side, that show hardly anything but the face."""
BRIGHTEST = 250 / 255
"""Luma from which a pixel counts as over-exposed."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What is known of a face; NaN where it was not measured.

    Attributes:
        width: of the face in pixels of the photo.
        score: the detector's, 0..1.
        native_side: side of the crop in pixels of the photo; a crop with a larger side was enlarged.
        inside: share of the crop that lies inside the photo, 0..1.
        yaw: see :func:`yaw`.
        sharpness: see :func:`sharpness`.
        brightness: median luma of the face, 0..1.
        overexposed: share of the face that is nearly white, 0..1.
    """

    width: float
    score: float
    native_side: float
    inside: float
    yaw: float
    sharpness: float = math.nan
    brightness: float = math.nan
    overexposed: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a face must have to be kept; names and units as in :class:`Measures`.

    A crop shows about 1.8 times the width of its face: 128 pixels of face make a native side of some 235.
    """

    min_width: float = 128.0
    min_score: float = 0.8
    min_inside: float = 0.9
    max_yaw: float = 0.4
    min_sharpness: float = 25.0
    min_brightness: float = 0.08
    max_overexposed: float = 0.25

    def fault(self, face: Measures) -> str:
        """The first reason to reject a face, "" if there is none; what was not measured is no reason."""
        faults = {
            "too small": face.width < self.min_width,
            "unsure": face.score < self.min_score,
            "cut off": face.inside < self.min_inside,
            "turned": abs(face.yaw) > self.max_yaw,
            "too dark": face.brightness < self.min_brightness,
            "over-exposed": face.overexposed > self.max_overexposed,
            "blurred": face.sharpness < self.min_sharpness,
        }
        return next((reason for reason, applies in faults.items() if applies), "")


def native_side(crop_from_image: Affine, size: int) -> float:
    """Side in pixels of the photo of what a crop of side ``size`` shows."""
    return size / magnification(crop_from_image)


def inside(crop_from_image: Affine, size: int, shape: tuple[int, ...]) -> float:
    """Share of the area of a crop that lies inside the photo, 0..1.

    Args:
        crop_from_image: (2, 3).
        size: side of the crop.
        shape: (height, width, ...) of the photo.
    """
    height, width = shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    photo = corners @ crop_from_image[:, :2].T + crop_from_image[:, 2]
    crop = np.array([[0, 0], [size, 0], [size, size], [0, size]]) - 0.5
    area, _ = cv2.intersectConvexConvex(photo.astype(np.float32), crop.astype(np.float32))
    return min(max(float(area), 0.0) / size**2, 1.0)


def yaw(landmarks: Floats) -> float:
    """How far a face is turned: offset of the nose from the middle of the eyes, along them, in eye distances.

    0 from the front, positive where the nose points to the right of the picture; beyond 0.3 a face is clearly turned.

    Args:
        landmarks: (5, 2) points; NaN comes back for eyes in one place.
    """
    eyes = landmarks[1].astype(np.float64) - landmarks[0]
    distance = float(eyes @ eyes)
    offset = landmarks[2] - (landmarks[0].astype(np.float64) + landmarks[1]) / 2
    return float(offset @ eyes) / distance if distance > 0 else math.nan


def luma(crop: FloatImage) -> Floats:
    """(S, S, 3) RGB -> (S, S) gray, both in [0, 1] (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)


def sharpness(gray: Floats) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) in squared levels of 255, at a fixed width of the face.

    Portraits have some hundreds, a Gaussian blur of sigma 2 at 512 pixels leaves about 40, one of sigma 4 less than 12.

    Args:
        gray: (S, S) in [0, 1], see :func:`luma`.
    """
    fixed = cv2.resize(gray, (SHARPNESS_SIDE, SHARPNESS_SIDE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(fixed * np.float32(255), cv2.CV_32F).var())


def exposure(gray: Floats) -> tuple[float, float]:
    """(S, S) in [0, 1] -> median luma of the face, share of it that is nearly white."""
    side = len(gray)
    rows, columns = (slice(round(part.start * side), round(part.stop * side)) for part in SKIN)
    skin = gray[rows, columns]
    return float(np.median(skin)), float((skin >= BRIGHTEST).mean())


def fingerprint(gray: Floats) -> Fingerprint:
    """256 bits that survive scaling and compression: signs of the lowest waves (DCT) against their median.

    Aligned faces share their coarsest pattern, so the constant waves are left out, and 64 bits would be too few: among
    1.7 million pairs of different faces the closest two differed in 54 of the 256 bits. The same picture at a third of
    its size as a JPEG of quality 60 differs in 8 at most; aligned a little differently, in 46 at most, 28 typically.

    Args:
        gray: (S, S) in [0, 1], see :func:`luma`.
    """
    small = cv2.resize(gray, (FINGERPRINT_SIDE, FINGERPRINT_SIDE), interpolation=cv2.INTER_AREA)
    waves: Array = cv2.dct(small)[1 : FINGERPRINT_WAVES + 1, 1 : FINGERPRINT_WAVES + 1]
    return np.packbits(waves > np.median(waves)).view(np.uint64)


def differing_bits(some: Fingerprint, other: Fingerprint) -> NDArray[np.intp]:
    """Hamming distances of fingerprints (..., 4), broadcast -> (...)."""
    return np.bitwise_count(some ^ other).sum(axis=-1, dtype=np.intp)
