"""Images as callers give them, checked and converted; aligned faces of any size, fitted to a network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from revisage.errors import InputError
from revisage.images.alpha import with_alpha
from revisage.images.modes import find_lost_by_pillow, from_pillow
from revisage.images.pixels import check_array, to_float
from revisage.images.read import to_rgb
from revisage.types import Array, Face, FloatImage, Image, Restoration


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """An image that a caller gave.

    Attributes:
        image: (H, W, 3), upright.
        transparent: (H, W, 2 or 4) the same with its transparency, None if it has none.
        profile: ICC profile, empty for sRGB.
        lost: what ``image`` lacks, see ``Restoration.left_out``.
    """

    image: Image
    transparent: Array | None = None
    profile: bytes = b""
    lost: tuple[str, ...] = ()

    def complete(self, result: Restoration) -> Restoration:
        """Give the restoration of ``image`` what the given one has besides."""
        image = result.image if self.transparent is None else with_alpha(result.image, self.transparent)
        return replace(result, image=image, left_out=self.lost)


def take(image: Any) -> Given:
    """Take a Pillow image of any mode but F and LAB, or an array; arrays are checked, not converted.

    Arrays are (H, W, 3 or 4) uint8, uint16 or float32 in [0, 1]. Pillow images are turned upright by their EXIF
    orientation; the modes I;16 and I are taken as uint16 (InputError: anything else, or values out of range).
    """
    if not (hasattr(image, "convert") and hasattr(image, "mode")):
        pixels = check_array(image)
        return Given(to_rgb(pixels), pixels) if pixels.shape[2] == 4 else Given(pixels)
    lost = find_lost_by_pillow(image)
    pixels = from_pillow(image)
    transparent = pixels if pixels.shape[2] in (2, 4) else None
    return Given(to_rgb(pixels), transparent, image.info.get("icc_profile") or b"", lost)


def warn_if_nearly_black(image: Any) -> None:
    """Warn of an array of more than 8 bits whose values are those of 8 bits, or were divided by 255 twice."""
    limit = {"uint16": 255, "float32": 1 / 255}.get(image.dtype.name) if isinstance(image, np.ndarray) else None
    if limit is not None and image.size and 0 < (high := image.max()) <= limit:
        top = 65535 if limit == 255 else 1
        warnings.warn(f"the {image.dtype} image is nearly black: it reaches {high:g} of {top}", stacklevel=3)


def as_image(image: Any) -> Image:
    """Pillow image or array -> (H, W, 3) image, as :func:`take` takes it, without its transparency."""
    return take(image).image


def check_faces(faces: Any, images: int) -> list[list[Face]]:
    """The faces that a caller gives for each of a number of images.

    InputError: they are not one list of faces for each image, or a face has no box and five landmarks.
    """
    given: list[Any] = list(faces) if isinstance(faces, list | tuple) else []
    if len(given) != images or not all(isinstance(one, list | tuple) for one in given):
        raise InputError("faces is a list of revisage.Face; of a list of images, one such list for each image")
    return [[_check_face(face) for face in one] for one in given]


def _check_face(face: Any) -> Face:
    if not isinstance(face, Face):
        raise InputError(f"faces holds revisage.Face(box, landmarks, score), not {type(face).__name__}")
    try:
        box, landmarks = np.asarray(face.box, np.float32), np.asarray(face.landmarks, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"box and landmarks of a face are arrays of numbers: {error}") from error
    if box.shape != (4,) or landmarks.shape != (5, 2):
        shapes = f"{box.shape} and {landmarks.shape}"
        raise InputError(f"a face has a box of shape (4,) and landmarks of shape (5, 2), not {shapes}")
    return Face(box, landmarks, float(face.score))


def resize_and_pad(image: Image, size: int) -> tuple[FloatImage, tuple[int, int]]:
    """Scale the longer side to ``size``, repeat the edge of the other -> (square crop, (height, width) in use)."""
    height, width = image.shape[:2]
    factor = size / max(height, width)
    used = max(round(height * factor), 1), max(round(width * factor), 1)
    method = cv2.INTER_LINEAR if factor >= 1 else cv2.INTER_AREA
    scaled: Array = cv2.resize(to_float(image), used[::-1], interpolation=method)
    square = np.pad(scaled, ((0, size - used[0]), (0, size - used[1]), (0, 0)), mode="edge")
    return square.astype(np.float32), used
