"""Aligned face crops as files: which there are in a folder, and their pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from revisage.errors import ImageError, InputError, RecipeError
from revisage.files import safe_read
from revisage.images import read_image
from revisage.images.formats import FORMATS, HEIF
from revisage.images.pixels import from_float, to_float
from revisage.jobs.collector import Source, collect

MAX_SIDE = 8192
"""Pixels; a small file may unpack to any number of them."""


@dataclass(frozen=True)
class Crop:
    """A decoded aligned face.

    Attributes:
        key: file name without extension.
        pixels: (S, S, 3) uint8 RGB.
        lq: its degraded partner of the same size, of sources that hold pairs.
    """

    key: str
    pixels: NDArray[np.uint8]
    lq: NDArray[np.uint8] | None = None


def list_crops(path: Path, name_prefixes: Sequence[str] = ("",)) -> list[Source]:
    """List the images below a folder, of a pattern or path, whose names begin with one of ``name_prefixes``.

    They are found and sorted by the rules for photos (RecipeError: no such path, a folder cannot be read, or none is
    left).
    """
    try:
        sources = list(collect([path]))
    except InputError as error:
        raise RecipeError(f"no crops: {error}") from error
    if fault := next((source.fault for source in sources if source.fault), ""):
        raise RecipeError(fault)
    chosen = [source for source in sources if source.path.name.startswith(tuple(name_prefixes))]
    if not chosen:
        raise RecipeError(f"no images in {path}{named(name_prefixes)}")
    return chosen


def read_crop(path: Path) -> Crop:
    """Decode a square image file (RecipeError: it cannot be read, or is not a square image)."""
    try:
        if FORMATS.get(path.suffix.lower()) is HEIF:  # OpenCV does not read it
            pixels = np.asarray(from_float(to_float(read_image(path)), np.uint8), np.uint8)
            return _square(path.stem, pixels, str(path))
        return decode_crop(path.stem, safe_read(path), str(path))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except ImageError as error:
        raise RecipeError(str(error)) from error


def decode_crop(key: str, data: bytes, origin: str) -> Crop:
    """Bytes of an image file -> crop; ``origin``: name of the file for messages (RecipeError: not a square image)."""
    return _square(key, decode_image(data, origin), origin)


def decode_image(data: bytes, origin: str) -> NDArray[np.uint8]:
    """Bytes of an image file -> (H, W, 3) uint8 RGB.

    RecipeError: no image, a damaged one, or one with a side over ``MAX_SIDE``.
    """
    side = _longer_side(data)
    if side > MAX_SIDE:
        raise RecipeError(f"{origin} is refused: training takes images of up to {MAX_SIDE} pixels a side")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if side else None
    if pixels is None:
        raise RecipeError(f"{origin} is not a readable image")
    return np.asarray(pixels, np.uint8)


def _square(key: str, pixels: NDArray[np.uint8], origin: str) -> Crop:
    if pixels.shape[0] != pixels.shape[1]:
        raise RecipeError(f"{origin} is not square: an aligned crop is expected")
    return Crop(key, pixels)


def _longer_side(data: bytes) -> int:
    """Pixels of the longer side as the file's header states them; 0 if it is no header of an image."""
    try:
        return max(PIL.Image.open(io.BytesIO(data)).size)
    except PIL.Image.DecompressionBombError:
        return MAX_SIDE + 1
    except Exception:  # damage is of every kind
        return 0


def named(name_prefixes: Sequence[str]) -> str:
    """Text for messages: `` with names that begin with A or B``, or nothing if any name will do."""
    beginnings = " or ".join(filter(None, name_prefixes))
    return f" with names that begin with {beginnings}" if beginnings else ""
