"""Versions of the same images: restored here, or read; in sRGB and of one size, to be put side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from revisage.errors import InputError
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.pairs import list_images, to_uint8
from revisage.images import Photo, read_photo
from revisage.images.icc import parse_color_space
from revisage.images.pixels import to_float
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.restore.select import sort_faces
from revisage.types import Array, Face, Image

ORIGINAL = "original"
"""Label of the first version where the others are restored here."""
MARGIN = 0.45
"""Around a face in a close-up, in sides of its box."""
TOLERANCE = 0.02
"""By how much aspect ratios of versions may differ: sizes are rounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A way to restore.

    Attributes:
        controls: resolved.
    """

    label: str
    restorer: Restorer
    controls: Controls


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """An image in all of its versions.

    Attributes:
        name: of the image.
        images: (H, W, 3) uint8 sRGB, the original first; of any sizes until :func:`fit`.
        boxes: faces for close-ups, each (4,) in pixels of the first image: those that were restored, or found.
    """

    name: str
    images: tuple[RGB8, ...]
    boxes: tuple[Array, ...] = ()


def restore_versions(name: str, photo: Photo, versions: Sequence[Version]) -> Row:
    """Restore a photo in several ways; of an animation, its first frame (RevisageError: it cannot be restored)."""
    frame = photo.frames[0]
    images = [_to_srgb(frame, photo.profile)]
    boxes: tuple[Array, ...] = ()
    for version in versions:
        (result,) = version.restorer.restore([frame], version.controls, profiles=[photo.profile])
        images.append(_to_srgb(result.image, photo.profile))
        found = tuple(face.box for face in result.faces if face.restored is not None and face.box is not None)
        boxes = max(boxes, found, key=len)
    return Row(name, tuple(images), boxes)


def read_versions(name: str, paths: Sequence[Path], find: Callable[[Image], list[Face]] | None = None) -> Row:
    """Read an image that exists in several versions; ``find`` finds faces in the first, for close-ups.

    ImageError: a file cannot be read. InputError: they are not of the same image: their aspect ratios differ.
    """
    images: list[RGB8] = []
    boxes: tuple[Array, ...] = ()
    for path in paths:
        photo = read_photo(path)
        if find is not None and not images:
            boxes = tuple(face.box for face in sort_faces(find(photo.frames[0]), "position"))
        images.append(_to_srgb(photo.frames[0], photo.profile))
        (height, width), (first_height, first_width) = images[-1].shape[:2], images[0].shape[:2]
        if abs(np.log(width * first_height / height / first_width)) > TOLERANCE:
            sizes = f"{width} x {height} pixels, {paths[0]} has {first_width} x {first_height}"
            raise InputError(f"{path} is not a version of the same image: it has {sizes}")
    return Row(name, tuple(images), boxes)


def match_versions(paths: Sequence[Path]) -> tuple[dict[str, list[Path]], list[str]]:
    """Find the images that have all versions: files, or folders with images of equal names.

    Returns (name -> its files, in the order of ``paths``; names that are not in every folder). InputError: files and
    folders are mixed, a file is missing, or no image has all versions.
    """
    if all(path.is_file() for path in paths):
        return {paths[0].name: list(paths)}, []
    if missing := next((path for path in paths if not path.exists()), None):
        raise InputError(f"no such file or folder: {missing}")
    if not all(path.is_dir() for path in paths):
        raise InputError("several inputs are versions of the same images: give files only, or folders only")
    folders = [list_images(path) for path in paths]
    known = dict.fromkeys(name for folder in folders for name in folder)
    complete = [name for name in known if all(name in folder for folder in folders)]
    if not complete:
        raise InputError(f"no image is in all of {', '.join(map(str, paths))}: names without extension must be equal")
    return {name: [folder[name] for folder in folders] for name in complete}, [*(known.keys() - {*complete})]


def name_versions(paths: Sequence[Path]) -> list[str]:
    """Short labels that tell paths apart: their stems, else the folders they lie in, else all of them."""
    for candidates in ([path.stem for path in paths], [path.absolute().parent.name for path in paths]):
        if len({*candidates}) == len(paths):
            return candidates
    return [str(path) for path in paths]


def close_ups(row: Row, size: int) -> list[Row]:
    """Cut out the faces of a row: a row of (size, size, 3) images for each."""
    return [
        Row(f"{row.name}, face {index}", tuple(_cut(image, row.images[0].shape, box, size) for image in row.images))
        for index, box in enumerate(row.boxes)
    ]


def fit(row: Row, size: int) -> Row:
    """Give all images of a row the size of the largest one, but not more than ``size`` on the longer side."""
    height, width = max((image.shape[:2] for image in row.images), key=max)
    factor = min(size / max(height, width), 1)
    width, height = max(round(width * factor), 1), max(round(height * factor), 1)
    return Row(row.name, tuple(_resize(image, width, height) for image in row.images))


def _cut(image: RGB8, shape: Sequence[int], box: Array, size: int) -> RGB8:
    """The square around a box given in pixels of an image of another size; what lies outside repeats the border."""
    factor = np.array([image.shape[1] / shape[1], image.shape[0] / shape[0]])
    center, side = (box[:2] + box[2:]) / 2 + 0.5, max(box[2:] - box[:2]) * (1 + 2 * MARGIN)  # from the corner
    scale = size / (side * factor)
    if max(scale) < 1:  # shrink by area first: an affine map alone would leave out pixels
        height, width = image.shape[:2]
        image = _resize(image, max(round(width * scale[0]), 1), max(round(height * scale[1]), 1))
        factor = np.array([image.shape[1] / shape[1], image.shape[0] / shape[0]])
        scale = size / (side * factor)
    shift = (0.5 - (center - side / 2) * factor) * scale - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    cut = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _resize(image: RGB8, width: int, height: int) -> RGB8:
    method = cv2.INTER_LANCZOS4 if width >= image.shape[1] else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _to_srgb(image: Image, profile: bytes) -> RGB8:
    space = parse_color_space(profile)
    return to_uint8(image if space is None else space.to_srgb(to_float(image)))
