"""A photo -> its faces, each measured, checked against the limits and cut out. Stateless; threads may share it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import ImageError, InputError, fault_of
from revisage.files import safe_open
from revisage.geometry import Affine, compose, invert, magnification, shift
from revisage.images import read_image
from revisage.images.pixels import from_float
from revisage.restore.align import align, similarity_from_landmarks
from revisage.training.prepare.records import SIZES, FaceRecord, Fingerprint, Measures, Options
from revisage.types import AlignedFace, Array, Face, FloatImage, Image

Floats = NDArray[np.float32]

SHARPNESS_SIZE = 256
"""Side of the crop at which sharpness is measured, so that faces of all sizes compare."""
FINGERPRINT_SIZE = 64
FINGERPRINT_WAVES = 16
SKIN = slice(0.35, 0.8), slice(0.3, 0.7)
"""Rows and columns of a crop, as shares of its side, that show hardly anything but the face."""
BRIGHTEST = 250 / 255
"""Luma from which a pixel counts as over-exposed."""
Detect = Callable[[Image], list[Face]]
"""Image -> faces; called from several threads."""
DECIMALS = 4
"""Decimals of measures and landmarks: enough for any use, and the same wherever the last bits differ."""
UNALIGNABLE = "landmarks coincide"


@dataclass(frozen=True, slots=True)
class ExtractedFaces:
    """The faces of one photo.

    Attributes:
        sha256: of the file, "" if it cannot be read.
        faces: records that name no file yet.
        crops: bytes of each face's crop, b"" if it is rejected.
        error: one line that names the photo if something went wrong, else "".
    """

    sha256: str = ""
    faces: tuple[FaceRecord, ...] = ()
    crops: tuple[bytes, ...] = ()
    error: str = ""


def extract_faces(detect: Detect, photo: Path, options: Options, known: Callable[[str], bool]) -> ExtractedFaces:
    """Find, measure and cut out the faces of a photo; an error is in the result.

    ``known`` says of a SHA-256 whether a photo of the same bytes is settled; its faces are not looked for again.
    """
    try:
        sha256 = _hash(photo)
        if known(sha256):
            return ExtractedFaces(sha256)
        image = read_image(photo)
        best_first = sorted(detect(image), key=lambda face: -face.score)
        found = [_extract_face(image, face, index, options) for index, face in enumerate(best_first)]
        return ExtractedFaces(sha256, tuple(record for record, _ in found), tuple(crop for _, crop in found))
    except Exception as error:  # a fault nobody thought of must not cost the photos after this one
        return ExtractedFaces(error=fault_of(photo, error))


def _hash(photo: Path) -> str:
    try:
        with safe_open(photo) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"cannot read {photo}: {error.strerror or error}") from error


def _extract_face(image: Image, face: Face, index: int, options: Options) -> tuple[FaceRecord, bytes]:
    """A face's record without a file, and the bytes of its crop, b"" if it is rejected."""
    try:
        crop_from_image = similarity_from_landmarks(face.landmarks, SIZES[0])
    except InputError:
        width = float(face.box[2] - face.box[0])
        nothing = Measures(width, face.score, native_size=0, inside=0, yaw=0)
        return FaceRecord(index, 0, _round(nothing), (), reason=UNALIGNABLE), b""
    measures = _measure_geometry(face, crop_from_image, image.shape)
    side = options.size or next((side for side in SIZES if side <= measures.native_size), SIZES[-1])
    if reason := options.limits.find_fault(measures):  # spares cutting out the many small faces of a crowd
        return FaceRecord(index, 0, _round(measures), (), reason=reason), b""
    aligned = align_mirrored(image, face.landmarks, side)
    points = transform_points(face.landmarks, aligned.crop_from_image)
    landmarks = tuple((round(float(x), DECIMALS), round(float(y), DECIMALS)) for x, y in points)
    gray = to_luma(aligned.crop)
    brightness, overexposed = measure_exposure(gray)
    measures = replace(measures, sharpness=measure_sharpness(gray), brightness=brightness, overexposed=overexposed)
    reason = options.limits.find_fault(measures)
    fingerprint = compute_fingerprint(gray).tobytes().hex()
    record = FaceRecord(index, side, _round(measures), landmarks, fingerprint, reason)
    return record, b"" if reason else _encode(aligned.crop, options.format)


def align_mirrored(image: Image, landmarks: Floats, size: int) -> AlignedFace:
    """Like :func:`revisage.restore.align.align`, but beyond the image is its mirror image, as in FFHQ."""
    image_from_crop = invert(similarity_from_landmarks(landmarks, size))
    corners = transform_points(np.array([[0, 0], [size, 0], [size, size], [0, size]]) - 0.5, image_from_crop)
    margin = 2 * max(magnification(image_from_crop), 1)  # interpolation and averaging reach a little further
    low = np.maximum(np.ceil(margin - corners.min(axis=0)), 0).astype(int)
    high = np.maximum(np.ceil(corners.max(axis=0) + margin - image.shape[1::-1]), 0).astype(int)
    if not (low.any() or high.any()):
        return align(image, landmarks, size)
    wider = cv2.copyMakeBorder(image, int(low[1]), int(high[1]), int(low[0]), int(high[0]), cv2.BORDER_REFLECT_101)
    aligned = align(np.asarray(wider, image.dtype), landmarks + low, size)
    return AlignedFace(aligned.crop, compose(aligned.crop_from_image, shift(float(low[0]), float(low[1]))))


def transform_points(points: Floats | NDArray[np.float64], target_from_source: Affine) -> NDArray[np.float64]:
    """(N, 2) points -> where an affine map takes them."""
    return points @ target_from_source[:, :2].T + target_from_source[:, 2]


def _measure_geometry(face: Face, crop_from_image: Affine, shape: tuple[int, ...]) -> Measures:
    """Measurements that need no pixels; ``crop_from_image`` for a crop of side ``SIZES[0]``."""
    return Measures(
        width=float(face.box[2] - face.box[0]),
        score=face.score,
        native_size=native_size(crop_from_image, SIZES[0]),
        inside=fraction_inside(crop_from_image, SIZES[0], shape),
        yaw=estimate_yaw(face.landmarks),
    )


def _round(measures: Measures) -> Measures:
    return Measures(*(round(value, DECIMALS) for value in astuple(measures)))


def _encode(crop: FloatImage, form: str) -> bytes:
    """The bytes of a PNG, or of a JPEG of quality 95 without chroma subsampling."""
    levels = np.ascontiguousarray(from_float(crop, np.uint8)[..., ::-1])
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full] if form == "jpg" else []
    done, data = cv2.imencode(f".{form}", levels, options)
    if not done:
        raise ImageError(f"a crop of shape {crop.shape} cannot be written as {form}")
    return data.tobytes()


def native_size(crop_from_image: Affine, size: int) -> float:
    """Side in pixels of the photo of what a crop of side ``size`` shows."""
    return size / magnification(crop_from_image)


def fraction_inside(crop_from_image: Affine, size: int, shape: tuple[int, ...]) -> float:
    """Share of the area of a crop of side ``size`` that lies inside a photo of (height, width, ...), 0..1."""
    height, width = shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    photo = corners @ crop_from_image[:, :2].T + crop_from_image[:, 2]
    crop = np.array([[0, 0], [size, 0], [size, size], [0, size]]) - 0.5
    area, _ = cv2.intersectConvexConvex(photo.astype(np.float32), crop.astype(np.float32))
    return min(max(float(area), 0.0) / size**2, 1.0)


def estimate_yaw(landmarks: Floats) -> float:
    """How far a face is turned: offset of the nose from the middle of the eyes, along them, in eye distances.

    0 from the front, positive where the nose points to the right of the image; beyond 0.3 a face is clearly turned. NaN
    where the eyes of the (5, 2) landmarks are in one place.
    """
    eyes = landmarks[1].astype(np.float64) - landmarks[0]
    distance = float(eyes @ eyes)
    offset = landmarks[2] - (landmarks[0].astype(np.float64) + landmarks[1]) / 2
    return float(offset @ eyes) / distance if distance > 0 else math.nan


def to_luma(crop: FloatImage) -> Floats:
    """(S, S, 3) RGB -> (S, S) gray, both in [0, 1] (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)


def measure_sharpness(gray: Floats) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) in squared levels of 255, at a fixed width of the face.

    ``gray`` is (S, S) in [0, 1]. Portraits have some hundreds, a Gaussian blur of sigma 2 at 512 pixels leaves about
    40, one of sigma 4 less than 12.
    """
    fixed = cv2.resize(gray, (SHARPNESS_SIZE, SHARPNESS_SIZE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(fixed * np.float32(255), cv2.CV_32F).var())


def measure_exposure(gray: Floats) -> tuple[float, float]:
    """(S, S) in [0, 1] -> median luma of the face, share of it that is nearly white."""
    side = len(gray)
    rows, columns = (slice(round(part.start * side), round(part.stop * side)) for part in SKIN)
    skin = gray[rows, columns]
    return float(np.median(skin)), float((skin >= BRIGHTEST).mean())


def compute_fingerprint(gray: Floats) -> Fingerprint:
    """256 bits of (S, S) gray that survive scaling and compression: signs of its lowest waves (DCT).

    They count against the median. Aligned faces share their coarsest pattern, so the constant waves are left out, and
    64 bits would be too few: among 1.7 million pairs of different faces the closest two differed in 54 of the 256 bits.
    The same image at a third of its size as a JPEG of quality 60 differs in 8 at most; aligned a little differently, in
    46 at most, 28 typically.
    """
    small = cv2.resize(gray, (FINGERPRINT_SIZE, FINGERPRINT_SIZE), interpolation=cv2.INTER_AREA)
    waves: Array = cv2.dct(small)[1 : FINGERPRINT_WAVES + 1, 1 : FINGERPRINT_WAVES + 1]
    return np.packbits(waves > np.median(waves)).view(np.uint64)


def hamming_distance(some: Fingerprint, other: Fingerprint) -> NDArray[np.intp]:
    """Hamming distances of fingerprints (..., 4), broadcast -> (...)."""
    return np.bitwise_count(some ^ other).sum(axis=-1, dtype=np.intp)
