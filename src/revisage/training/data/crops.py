"""Aligned face crops as training samples: (lq, gt) patches, each a pure function of (seed, index)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from revisage.images.pixels import to_float
from revisage.training.data.degradations.step import Degradation
from revisage.training.data.sources import Crop, Source, crop_paths, read_crop
from revisage.types import FloatImage

FACE = 0.85, 0.525
"""Where a patch over the face lies: its top and left as shares of the room that they have."""


class CropSample(TypedDict):
    """One training sample.

    Keys:
        lq, gt: (3, P, P) float32 RGB in [-1, 1]; or ``lq`` (3, S, S), of the whole face.
        detail: () float32, 1 if ``gt`` has real detail at this size, 0 if it was enlarged from half of it.
        corner: (2,) float32, left and top of the patch in the whole face, in pixels.
    """

    lq: torch.Tensor
    gt: torch.Tensor
    detail: torch.Tensor
    corner: torch.Tensor


def permuted(index: int, length: int, seed: int) -> int:
    """The item that an endless, epoch-wise shuffled pass over ``length`` items meets at position ``index``."""
    epoch, position = divmod(index, length)
    return int(_order(length, seed, epoch)[position])


@lru_cache(maxsize=2)  # a batch may reach into the next epoch
def _order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(length)


def read_crops(folders: Sequence[Path], name_prefixes: Sequence[str] = ("",)) -> list[Crop]:
    """Decode all square pictures in ``folders`` whose name begins with one of ``name_prefixes``, sorted by name.

    Raises:
        RecipeError: a folder is missing, holds no such picture, or a picture is not square or cannot be read.
    """
    return [read_crop(path) for folder in folders for path in crop_paths(folder, name_prefixes)]


class CropPatches(Dataset[CropSample]):
    """Endless random patches of degraded crops.

    Patches are cut before the degradation: what lies outside cannot matter much, and a patch costs what a patch costs.
    Crops smaller than ``size`` are enlarged; their samples are marked as lacking detail.

    Args:
        crops: faces, decoded or to be decoded when asked for.
        size: side that faces have when they are restored.
        patch: side of a sample, at most ``size``.
        degradation: makes (lq, gt) from a picture.
        seed: sample ``index`` depends on (seed, index) and on nothing else.
        p_face_patch: probability that a patch lies over the face; the others lie anywhere.
        whole: the degraded picture is all of the face, though the original is a patch.
        oversample: patches are degraded at this many times their size, and averaged then; for a network that works on
            pictures that were made smaller.
    """

    def __init__(
        self,
        crops: Source,
        *,
        size: int,
        patch: int,
        degradation: Degradation,
        seed: int,
        p_face_patch: float = 0.0,
        whole: bool = False,
        oversample: int = 1,
    ) -> None:
        self.crops = crops
        self.size = size
        self.patch = patch
        self.degradation = degradation
        self.seed = seed
        self.p_face_patch = p_face_patch
        self.whole = whole
        self.oversample = oversample

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> CropSample:
        rng = np.random.default_rng((self.seed, 1, index))
        crop = self.crops[permuted(index, len(self.crops), self.seed)]
        pixels, left, top, own = self._drawn(crop.pixels, rng)
        ratio = self.size / pixels.shape[0]
        side, part = (self.size, pixels) if self.whole else (self.patch, pixels[top : top + own, left : left + own])
        pair = self.degradation(resized(to_float(np.ascontiguousarray(part)), side * self.oversample), rng)
        lq, gt = (resized(picture, side) for picture in pair)
        corner = left * ratio, top * ratio
        if self.whole:
            corner = tuple(min(round(place), self.size - self.patch) for place in corner)
            gt = gt[corner[1] : corner[1] + self.patch, corner[0] : corner[0] + self.patch]
        return {
            "lq": chw(lq),
            "gt": chw(gt),
            "detail": torch.tensor(float(crop.pixels.shape[0] >= self.size)),
            "corner": torch.tensor(corner, dtype=torch.float32),
        }

    def _drawn(self, pixels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], int, int, int]:
        """The crop, perhaps mirrored, and a patch of it in its own pixels: left, top, side."""
        side = pixels.shape[0]
        own = round(self.patch * side / self.size)
        top, left = (int(value) for value in rng.integers(0, side - own + 1, size=2))
        mirrored = rng.random() < 0.5
        if self.p_face_patch and rng.random() < self.p_face_patch:
            top, left = (round(share * (side - own)) for share in FACE)
        elif mirrored:
            left = side - own - left
        return pixels[:, ::-1] if mirrored else pixels, left, top, own


def resized(crop: FloatImage, size: int) -> FloatImage:
    """A square crop at another size: (size, size, 3), cubic if it grows, averaged over areas if it shrinks."""
    if len(crop) == size:
        return crop
    method = cv2.INTER_CUBIC if len(crop) < size else cv2.INTER_AREA
    return np.clip(cv2.resize(crop, (size, size), interpolation=method), 0, 1, dtype=np.float32)


def chw(picture: FloatImage) -> torch.Tensor:
    """(H, W, 3) in [0, 1] -> (3, H, W) in [-1, 1]."""
    planes = np.empty((3, *picture.shape[:2]), np.float32)
    cv2.split(picture, [planes[0], planes[1], planes[2]])
    return torch.add(torch.tensor(-1.0), torch.from_numpy(planes), alpha=2)
