"""Photos with known faces, decoded once: the raw material of :mod:`revisage.training.embedded.face_scenes`.

Two kinds of files serve. *Photos*: a JSON file beside folders of images, ``{"folder/name.jpg": {"faces": [{"box",
"landmarks"}]}}``. *Crops*: square images of one aligned face each, listed in a CSV file with columns ``file``,
``eye1_x`` ... ``mouth2_y``; their boxes are estimated from the landmarks (:class:`BoxFromLandmarks`).
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import RecipeError
from revisage.files import safe_read
from revisage.training.data.crops import decode_image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

POINTS = ("eye1", "eye2", "nose", "mouth1", "mouth2")
MIRRORED = (1, 0, 2, 4, 3)
"""Order of the five landmarks in a mirrored image."""
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
"""Errors of content that is not laid out as it should be."""


@dataclass(frozen=True, eq=False)
class LabeledPhoto:
    """An image and its F faces.

    Attributes:
        name: of the person or motif; the same in photos and crops of it.
        pixels: (H, W, 3) uint8 RGB.
        boxes: (F, 4) float32 x1, y1, x2, y2 in pixels.
        landmarks: (F, 5, 2) float32.
        pyramid: ``pixels`` at full size, half, a quarter, ... (antialiased), down to 16 pixels.
    """

    name: str
    pixels: Pixels
    boxes: Floats
    landmarks: Floats
    pyramid: tuple[Pixels, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        levels = [self.pixels]
        while min(levels[-1].shape[:2]) >= 32:
            height, width = levels[-1].shape[:2]
            smaller = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            levels.append(np.asarray(smaller, np.uint8))
        object.__setattr__(self, "pyramid", tuple(levels))


class BoxFromLandmarks:
    """A face's box as a linear function of its landmarks, fitted by least squares; turns and scales with the face."""

    def __init__(self, boxes: Floats, landmarks: Floats) -> None:
        """Fit to (F, 4) boxes and (F, 5, 2) landmarks of at least a dozen faces."""
        center, size, features = self._features(landmarks)
        corners = (boxes.reshape(-1, 2, 2) - center) / size
        # Centerd shapes have two dimensions less than numbers: directions without content are left out.
        self._weights = np.linalg.lstsq(features, corners.reshape(-1, 4), rcond=1e-8)[0]

    def __call__(self, landmarks: Floats) -> Floats:
        """(F, 5, 2) -> (F, 4)."""
        center, size, features = self._features(landmarks)
        corners = (features @ self._weights).reshape(-1, 2, 2) * size + center
        return corners.reshape(-1, 4).astype(np.float32)

    @staticmethod
    def _features(landmarks: Floats) -> tuple[Doubles, Doubles, Doubles]:
        points = landmarks.astype(np.float64)
        center = points.mean(axis=1, keepdims=True)
        size = np.sqrt(((points - center) ** 2).sum(axis=(1, 2), keepdims=True))
        shape = ((points - center) / size).reshape(-1, 10)
        return center, size, np.concatenate([shape, np.ones((len(shape), 1))], axis=1)


def is_held_out(name: str, folds: int) -> bool:
    """Whether a person or motif is kept for validation: about one in ``folds``, always the same ones."""
    return folds > 0 and zlib.crc32(name.encode()) % folds == 0


def read_photos(
    labels: Path, name_prefixes: Sequence[str], keep: Callable[[str], bool] = lambda _: True
) -> list[LabeledPhoto]:
    """Read the photos of ``labels`` whose path begins with one of ``name_prefixes`` and whose name ``keep`` accepts.

    RecipeError: the file or an image cannot be read, or nothing is left.
    """
    entries = _entries(labels, "labels")
    try:
        photos = [
            LabeledPhoto(Path(file).stem, _decode(labels, file), *_faces(entry["faces"]))
            for file, entry in sorted(entries.items())
            if file.startswith(tuple(name_prefixes)) and keep(Path(file).stem)
        ]
    except _MALFORMED as error:
        raise RecipeError(f"{labels} is not a file of labels: {_describe(error)}") from error
    if not photos:
        raise RecipeError(f"no photos in {labels} begin with {' or '.join(name_prefixes)}")
    return photos


def read_crops(
    index: Path, name_prefixes: Sequence[str], box: BoxFromLandmarks, keep: Callable[[str], bool] = lambda _: True
) -> list[LabeledPhoto]:
    """Read the crops of ``index`` whose path begins with one of ``name_prefixes``, as photos of one face each."""
    try:
        text = safe_read(index).decode("utf-8")
        rows = [row for row in csv.DictReader(text.splitlines()) if row["file"].startswith(tuple(name_prefixes))]
        crops: list[LabeledPhoto] = []
        for row in rows:
            name = Path(row["file"]).stem.partition("_")[2]  # what follows the source: house_NAME, t2i_NAME
            if keep(name):
                landmarks = _numbers([[[row[f"{point}_x"], row[f"{point}_y"]] for point in POINTS]], 5, 2)
                crops.append(LabeledPhoto(name, _decode(index, row["file"]), box(landmarks), landmarks))
        return crops
    except (OSError, csv.Error, *_MALFORMED) as error:
        raise RecipeError(f"{index} is not a readable list of crops: {_describe(error)}") from error


def read_false_positives(detections: Path, photos: Iterable[LabeledPhoto]) -> dict[str, Floats]:
    """Boxes of a file of detections, ``{"name.jpg": [{"box"}]}``, that touch no true face: photo -> (K, 4)."""
    entries = _entries(detections, "detections")
    try:
        found = {Path(file).stem: _numbers([face["box"] for face in faces], 4) for file, faces in entries.items()}
    except _MALFORMED as error:
        raise RecipeError(f"{detections} is not a file of detections: {_describe(error)}") from error
    return {
        photo.name: boxes[~_touching(boxes, photo.boxes)]
        for photo in photos
        if len(boxes := found.get(photo.name, np.zeros((0, 4), np.float32)))
    }


def fit_boxes(photos: Iterable[LabeledPhoto], smallest: float = 30.0) -> BoxFromLandmarks:
    """Learn the boxes of faces at least ``smallest`` pixels wide."""
    boxes = np.concatenate([photo.boxes for photo in photos])
    landmarks = np.concatenate([photo.landmarks for photo in photos])
    large = boxes[:, 2] - boxes[:, 0] >= smallest
    return BoxFromLandmarks(boxes[large], landmarks[large])


def _touching(boxes: Floats, others: Floats) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.any(np.all(high > low, axis=2), axis=1)


def _entries(path: Path, kind: str) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        entries = json.loads(safe_read(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not a readable file of {kind}: {_describe(error)}") from error
    if not isinstance(entries, dict):
        raise RecipeError(f"{path} is not a file of {kind}: it is no JSON object")
    return entries


def _faces(faces: list[dict[str, Any]]) -> tuple[Floats, Floats]:
    return _numbers([face["box"] for face in faces], 4), _numbers([face["landmarks"] for face in faces], 5, 2)


def _numbers(values: list[Any], *shape: int) -> Floats:
    """(len(values), *shape) finite numbers."""
    array = np.array(values, np.float32).reshape(len(values), *shape)
    if not np.isfinite(array).all():
        raise ValueError("a coordinate is no number")
    return array


def _describe(error: Exception) -> str:
    """Say what is wrong with the content of a file."""
    if isinstance(error, KeyError):
        return f"an entry lacks {error}"
    return str(getattr(error, "strerror", None) or error)


def _decode(index: Path, file: str) -> Pixels:
    """An image, by the name that a list in its folder gives it."""
    path = index.parent / file
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise RecipeError(f"{index} is refused: {file} lies elsewhere, and a list names images of its own folder only")
    try:
        return decode_image(safe_read(path), str(path))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error


Spot = tuple[LabeledPhoto, float, float, float]
"""A photo, x and y in it, and a size, all in pixels of the photo."""


class HardNegatives:
    """Blobs in photos and, as often as all of them together, known false positives: name of a photo -> (K, 4) boxes."""

    def __init__(self, photos: Sequence[LabeledPhoto], false_positives: Mapping[str, Floats]) -> None:
        self._blobs: list[Spot] = [(photo, *spot) for photo in photos for spot in find_blobs(photo).tolist()]
        self._false_positives: list[Spot] = [
            (photo, float(x1 + x2) / 2, float(y1 + y2) / 2, float(y2 - y1))
            for photo in photos
            for x1, y1, x2, y2 in false_positives.get(photo.name, np.zeros((0, 4)))
        ]

    def __bool__(self) -> bool:
        return bool(self._blobs)

    def choose(self, rng: np.random.Generator) -> Spot:
        """One of them."""
        spots = self._false_positives if self._false_positives and rng.random() < 0.5 else self._blobs
        return spots[int(rng.integers(len(spots)))]


def find_blobs(photo: LabeledPhoto, count: int = 3) -> Floats:
    """(K, 3) x, y and size of blobs, bright or dark, outside the faces: ``count`` of each of four sizes.

    Peaks of the determinant of the Hessian (Lindeberg 1998, doi 10.1023/A:1008045108935), found at half resolution.
    """
    small = photo.pyramid[min(1, len(photo.pyramid) - 1)]
    ratio = photo.pixels.shape[1] / small.shape[1]
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    spots: list[tuple[float, float, float]] = []
    for sigma in (1.5, 2.5, 4.0, 6.0):
        smooth = cv2.GaussianBlur(gray, (0, 0), sigma)
        xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
        response = np.asarray(xx * yy - xy * xy, np.float32)
        for x1, y1, x2, y2 in np.rint(np.maximum(photo.boxes / ratio, 0)).astype(int).tolist():
            response[y1:y2, x1:x2] = 0
        for _ in range(count):
            y, x = np.unravel_index(int(response.argmax()), response.shape)
            reach = int(6 * sigma)
            response[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach] = 0
            spots.append((float(x) * ratio, float(y) * ratio, 3 * sigma * ratio))
    return np.array(spots, np.float32)
