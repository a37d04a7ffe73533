"""Where aligned faces are read from: folders, the classic LMDB, tar shards. One contract: a sequence of :class:`Crop`.

A source knows its length and gives any crop by its place, always the same one: that is what makes samples
reproducible and an interrupted run resumable. It may be used in several processes at once; each opens its own files.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from revisage.errors import RecipeError
from revisage.files import safe_read

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
LARGEST_SIDE = 8192
"""Pixels; a small file may unpack to any number of them."""


@dataclass(frozen=True)
class Crop:
    """A decoded aligned face: (S, S, 3) uint8 RGB."""

    name: str
    pixels: NDArray[np.uint8]


class Source(Protocol):
    """A sequence of aligned faces, sorted by name."""

    def __len__(self) -> int:
        """Number of faces, at least one."""
        ...

    def __getitem__(self, index: int, /) -> Crop:
        """The face at a place (0 .. len - 1), decoded (RecipeError: it cannot be)."""
        ...


class FolderSource:
    """Pictures in folders, decoded when they are asked for.

    Args:
        folders: where to look, not below.
        name_prefixes: beginnings of the names to take.

    Raises:
        RecipeError: a folder is missing or holds no such picture.
    """

    def __init__(self, folders: Sequence[Path], name_prefixes: Sequence[str] = ("",)) -> None:
        self.paths = [path for folder in folders for path in crop_paths(folder, name_prefixes)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Crop:
        return read_crop(self.paths[index])


class CachedSource:
    """A source whose crops are kept once decoded, the most recently used first, in each process that reads it.

    Args:
        source: what is read.
        megabytes: of decoded pixels to keep at most; a crop of 512 pixels takes 0.79.
    """

    def __init__(self, source: Source, megabytes: float = 1000) -> None:
        self.source = source
        self._room = megabytes * 1e6
        self._kept: OrderedDict[int, Crop] = OrderedDict()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Crop:
        crop = self._kept.pop(index, None)
        if crop is None:
            crop = self.source[index]
            self._room -= crop.pixels.nbytes
        self._kept[index] = crop
        while self._room < 0 and self._kept:
            _, oldest = self._kept.popitem(last=False)
            self._room += oldest.pixels.nbytes
        return crop


def crop_paths(folder: Path, name_prefixes: Sequence[str] = ("",)) -> list[Path]:
    """Pictures in a folder whose name begins with one of ``name_prefixes``, sorted by name (RecipeError: none)."""
    if not folder.is_dir():
        raise RecipeError(f"no folder of aligned crops at {folder}")
    paths = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name.startswith(tuple(name_prefixes))
    )
    if not paths:
        raise RecipeError(f"no crops in {folder} that begin with {', '.join(map(repr, name_prefixes))}")
    return paths


def read_crop(path: Path) -> Crop:
    """Decode a square picture (RecipeError: it is not one)."""
    try:
        data = safe_read(path)
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    return decoded(path.stem, data, str(path))


def decoded(name: str, data: bytes, origin: str) -> Crop:
    """Bytes of a picture file -> crop; ``origin`` is what an error calls it (RecipeError: not a square picture)."""
    pixels = decoded_picture(data, origin)
    if pixels.shape[0] != pixels.shape[1]:
        raise RecipeError(f"{origin} is not a square picture")
    return Crop(name, pixels)


def decoded_picture(data: bytes, origin: str) -> NDArray[np.uint8]:
    """Bytes of a picture file -> (H, W, 3) uint8 RGB; ``origin`` is what an error calls it.

    Raises:
        RecipeError: no picture, a damaged one, or one of a side over ``LARGEST_SIDE``.
    """
    side = _side_of(data)
    if side > LARGEST_SIDE:
        raise RecipeError(f"{origin} is refused: training takes pictures of up to {LARGEST_SIDE} pixels a side")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if side else None
    if pixels is None:
        raise RecipeError(f"{origin} is not a picture")
    return np.asarray(pixels, np.uint8)


def _side_of(data: bytes) -> int:
    """Pixels of the longer side as the file's header states them; 0 if it is no header of a picture."""
    try:
        return max(PIL.Image.open(io.BytesIO(data)).size)
    except PIL.Image.DecompressionBombError:
        return LARGEST_SIDE + 1
    except Exception:  # damage is of every kind
        return 0
