"""One photo file -> a restored file like it, and the images that the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from revisage.errors import InputError, OutputError
from revisage.images import FORMATS, write_image
from revisage.images.decode import open_image
from revisage.images.formats import by_name, extension_of
from revisage.images.pixels import from_float, to_float
from revisage.images.read import read_photo
from revisage.restore.controls import Controls
from revisage.restore.draw import draw_faces
from revisage.restore.pipeline import Restorer
from revisage.types import Array, Face, FaceStatus, Image, RestoredFace

SHOWN_SIZE = 1600
"""Longest side of what the page shows, in pixels."""
CROP_SIZE = 112
"""Size of a shown face, in pixels."""


@dataclass(frozen=True)
class Limits:
    """Pixels of a photo and of its result, at most."""

    max_pixels: int
    max_output_pixels: int


@dataclass(frozen=True, eq=False)
class RestoredFile:
    """A restored photo. All files lie in a folder of their own.

    Attributes:
        path: the result, with the format and the metadata of the photo.
        faces: those found, with what has happened to them.
        order: by which they are numbered, see ``Selection.order``.
        before, after: the photo and the result in the same size, (height, width) ``size``.
        numbered: the photo with its faces in numbered boxes.
        crops: each face before and after, side by side; None where it was not restored.
        left_out: what the photo holds and the result lacks.
        warnings: what is wrong with the photo, one line each.
    """

    path: Path
    faces: list[RestoredFace]
    order: str
    before: Path
    after: Path
    numbered: Path
    crops: list[Path | None]
    size: tuple[int, int]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def detected(self) -> list[Face] | None:
        """The faces as they were detected; None if the photo was taken for one aligned face."""
        found = [(face.box, face.landmarks, face.score) for face in self.faces]
        known = [Face(box, points, score) for box, points, score in found if box is not None and points is not None]
        return known if len(known) == len(found) else None


def restore_file(
    source: Path, restorer: Restorer, controls: Controls, limits: Limits, former: RestoredFile | None = None
) -> RestoredFile:
    """Restore a photo into a new folder beside it.

    Args:
        source: the photo.
        restorer: restores it.
        controls: how.
        limits: of its size.
        former: an earlier result, so that faces are not detected again.

    Raises:
        RevisageError: the photo cannot be read or restored, or the result cannot be written.
    """
    file = read_photo(source, max_pixels=limits.max_pixels, allow_damaged=True)
    image = file.frames[0]
    _check_output(image, controls, limits.max_output_pixels)
    order = controls.selection.order
    known = former.detected if former is not None and former.order == order and not controls.aligned else None
    (result,) = restorer.restore([image], controls, None if known is None else [known], [file.profile])
    folder = source.parent / token_urlsafe(8)  # new every time: browsers keep what they have by its address
    folder.mkdir()
    path, left_out = _write_result(folder, result.image, source)

    factor = min(SHOWN_SIZE / max(result.image.shape[:2]), 1)
    height, width = (max(round(side * factor), 1) for side in result.image.shape[:2])
    before, after = (_resize(one, width, height) for one in (image, result.image[:, :, :3]))
    shown = {
        "before": before,
        "after": after,
        "numbered": draw_faces(before, _scaled(result.faces, width / image.shape[1])),
    }
    paths = {name: _write_jpeg(folder / f"{name}.jpg", pixels, file.profile) for name, pixels in shown.items()}
    crops = [
        _write_crops(folder / f"face-{number}.jpg", face, file.profile) for number, face in enumerate(result.faces)
    ]
    warnings = tuple(line.removeprefix(f"{source}: ") for line in file.warnings)
    notes: dict[str, Any] = {"size": (height, width), "left_out": left_out, "warnings": warnings}
    return RestoredFile(path, result.faces, order, **paths, crops=crops, **notes)


def _check_output(image: Image, controls: Controls, most: int) -> None:
    pixels = image.shape[0] * image.shape[1] * controls.scale**2
    if pixels > most and not controls.aligned:
        told = f"the result would have {pixels / 1e6:.0f} megapixels, the limit is {most / 1e6:.0f}"
        raise InputError(f"{told}; choose a smaller scale")


def _write_result(folder: Path, image: Image, source: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a result in the format of its source, in PNG where that cannot hold it."""
    found = by_name(open_image(source).opened.format)
    extension = ".png"
    if found is not None and found.writable:
        extension = source.suffix if FORMATS.get(source.suffix.lower()) is found else extension_of(found)
    target = folder / f"{source.stem}_restored{extension}"
    try:
        return target, write_image(target, image, like=source)
    except OutputError:
        if extension == ".png":
            raise
        return target.with_suffix(".png"), write_image(target.with_suffix(".png"), image, like=source)


def _resize(image: Image, width: int, height: int) -> Array:
    """An image in 8 bits and another size."""
    pixels = image if image.dtype == np.uint8 else from_float(to_float(image), np.uint8)
    method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(pixels, (width, height), interpolation=method)


def _scaled(faces: list[RestoredFace], factor: float) -> dict[int, Face]:
    """Faces by their numbers, in an image of another size."""
    scale = np.float32(factor)
    return {
        number: Face(face.box * scale, face.landmarks * scale, face.score)
        for number, face in enumerate(faces)
        if face.box is not None and face.landmarks is not None
    }


def _write_jpeg(path: Path, pixels: Array, profile: bytes) -> Path:
    PillowImage.fromarray(pixels).save(path, quality=90, icc_profile=profile or None)
    return path


def _write_crops(path: Path, face: RestoredFace, profile: bytes) -> Path | None:
    if face.status is not FaceStatus.RESTORED or face.crop is None or face.restored is None:
        return None
    pair = [_resize(crop, CROP_SIZE, CROP_SIZE) for crop in (face.crop, face.restored)]
    return _write_jpeg(path, np.hstack(pair), profile)
