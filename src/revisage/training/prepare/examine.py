"""One photo -> its faces, each measured, judged by itself and cut out. Remembers nothing; threads may share it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import ImageError, InputError, fault_of
from revisage.geometry import Affine, compose, invert, magnification, shift
from revisage.images import read_image
from revisage.images.pixels import from_float
from revisage.restore.align import align, similarity_from_landmarks
from revisage.training.prepare import quality
from revisage.training.prepare.quality import Floats, Measures
from revisage.training.prepare.records import SIDES, FaceRecord, Options
from revisage.types import AlignedFace, Face, FloatImage, Image

Detect = Callable[[Image], list[Face]]
"""Picture -> faces, best score first; called from several threads."""
DIGITS = 4
"""Decimals of measures and landmarks: enough for any use, and the same wherever the last bits differ."""
UNALIGNABLE = "landmarks coincide"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a look at one photo gave.

    Attributes:
        sha256: of the file, "" if it cannot be read.
        faces: records that name no file yet.
        crops: for each face the bytes of its crop, b"" if it is rejected.
        error: one line that names the photo if something went wrong, else "".
    """

    sha256: str = ""
    faces: tuple[FaceRecord, ...] = ()
    crops: tuple[bytes, ...] = ()
    error: str = ""


def examine(detect: Detect, photo: Path, options: Options, known: Callable[[str], bool]) -> Examined:
    """Look at one photo; whatever goes wrong with it is in the result.

    Args:
        detect: finds faces.
        photo: a file.
        options: sizes, format and limits.
        known: SHA-256 -> whether a photo of the same bytes is settled; its faces are not looked for again.
    """
    try:
        sha256 = _hash(photo)
        if known(sha256):
            return Examined(sha256)
        image = read_image(photo)
        found = [_face(image, face, place, options) for place, face in enumerate(detect(image))]
        return Examined(sha256, tuple(record for record, _ in found), tuple(crop for _, crop in found))
    except Exception as error:  # a fault nobody thought of must not cost the photos after this one
        return Examined(error=fault_of(photo, error))


def _hash(photo: Path) -> str:
    try:
        with photo.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"cannot read {photo}: {error.strerror or error}") from error


def _face(image: Image, face: Face, place: int, options: Options) -> tuple[FaceRecord, bytes]:
    """A face's record without a file, and the bytes of its crop, b"" if it is rejected."""
    try:
        crop_from_image = similarity_from_landmarks(face.landmarks, SIDES[0])
    except InputError:
        width = float(face.box[2] - face.box[0])
        nothing = Measures(width, face.score, native_side=0, inside=0, yaw=0)
        return FaceRecord(place, 0, _rounded(nothing), (), reason=UNALIGNABLE), b""
    measures = _geometry(face, crop_from_image, image.shape)
    side = options.size or _side(measures.native_side)
    if reason := options.limits.fault(measures):  # spares cutting out the many small faces of a crowd
        return FaceRecord(place, 0, _rounded(measures), (), reason=reason), b""
    aligned = align_mirrored(image, face.landmarks, side)
    points = placed(face.landmarks, aligned.crop_from_image)
    landmarks = tuple((round(float(x), DIGITS), round(float(y), DIGITS)) for x, y in points)
    gray = quality.luma(aligned.crop)
    brightness, overexposed = quality.exposure(gray)
    measures = replace(measures, sharpness=quality.sharpness(gray), brightness=brightness, overexposed=overexposed)
    reason = options.limits.fault(measures)
    fingerprint = quality.fingerprint(gray).tobytes().hex()
    record = FaceRecord(place, side, _rounded(measures), landmarks, fingerprint, reason)
    return record, b"" if reason else _encoded(aligned.crop, options.format)


def align_mirrored(image: Image, landmarks: Floats, size: int) -> AlignedFace:
    """Like :func:`revisage.restore.align.align`, but what lies outside of the picture is its mirror image.

    Gray would be taken for something that faces have around them. FFHQ's crops are continued likewise.
    """
    image_from_crop = invert(similarity_from_landmarks(landmarks, size))
    corners = placed(np.array([[0, 0], [size, 0], [size, size], [0, size]]) - 0.5, image_from_crop)
    margin = 2 * max(magnification(image_from_crop), 1)  # interpolation and averaging reach a little further
    low = np.maximum(np.ceil(margin - corners.min(axis=0)), 0).astype(int)
    high = np.maximum(np.ceil(corners.max(axis=0) + margin - image.shape[1::-1]), 0).astype(int)
    if not (low.any() or high.any()):
        return align(image, landmarks, size)
    wider = cv2.copyMakeBorder(image, int(low[1]), int(high[1]), int(low[0]), int(high[0]), cv2.BORDER_REFLECT_101)
    aligned = align(np.asarray(wider, image.dtype), landmarks + low, size)
    return AlignedFace(aligned.crop, compose(aligned.crop_from_image, shift(float(low[0]), float(low[1]))))


def placed(points: Floats | NDArray[np.float64], target_from_source: Affine) -> NDArray[np.float64]:
    """(N, 2) points -> where an affine map takes them."""
    return points @ target_from_source[:, :2].T + target_from_source[:, 2]


def _geometry(face: Face, crop_from_image: Affine, shape: tuple[int, ...]) -> Measures:
    """What needs no pixels; ``crop_from_image`` for a crop of side ``SIDES[0]``."""
    return Measures(
        width=float(face.box[2] - face.box[0]),
        score=face.score,
        native_side=quality.native_side(crop_from_image, SIDES[0]),
        inside=quality.inside(crop_from_image, SIDES[0], shape),
        yaw=quality.yaw(face.landmarks),
    )


def _side(native: float) -> int:
    return next((side for side in SIDES if side <= native), SIDES[-1])


def _rounded(measures: Measures) -> Measures:
    return Measures(*(round(value, DIGITS) for value in astuple(measures)))


def _encoded(crop: FloatImage, form: str) -> bytes:
    """The bytes of a PNG, or of a JPEG of quality 95 without chroma subsampling."""
    levels = np.ascontiguousarray(from_float(crop, np.uint8)[..., ::-1])
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full] if form == "jpg" else []
    done, data = cv2.imencode(f".{form}", levels, options)
    if not done:
        raise ImageError(f"a crop of shape {crop.shape} cannot be written as {form}")
    return data.tobytes()
