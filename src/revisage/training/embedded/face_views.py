"""Samples for a network that judges likeness: views of one face, and of another that is nearly the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from revisage.errors import RecipeError
from revisage.images.pixels import from_float, to_float
from revisage.training.data.crops import Crop
from revisage.training.data.datasets import resize_crop, shuffled_index, to_chw_tensor
from revisage.training.data.degradations.steps import Degradation, Step
from revisage.training.embedded.changed_faces import drawn_change
from revisage.types import FloatImage

TURN, SCALE, MOVE = 4.0, 0.05, 5.0
"""How badly faces may be aligned: degrees, share of the size, pixels of 512; a detector's error and a little more."""
COVERED = 0.15
"""How often something hides a part of a view."""


class ViewsSample(TypedDict):
    """One face and one that is nearly the same.

    Keys:
        views: (4, 3, S, S) float32 RGB in [-1, 1]; two of the face, two of the other.
    """

    views: torch.Tensor


class FaceViews(Dataset[ViewsSample]):
    """Endless views of faces, each a pure function of (seed, index).

    Args:
        crops: one aligned face a person.
        restored: what a restorer made of them when they were degraded; name of a crop -> pictures.
        size: side of the views.
        color_steps: done to each view, one after the other.
        degradations: of these each view meets one, all equally likely; in pixels of a view.
        seed: see above.
    """

    def __init__(
        self,
        crops: Sequence[Crop],
        restored: Mapping[str, Sequence[Crop]],
        *,
        size: int,
        color_steps: Sequence[Step],
        degradations: Sequence[Degradation],
        seed: int,
    ) -> None:
        self.faces = [
            tuple(_shrunk(version.pixels, size) for version in (crop, *restored.get(crop.key, ()))) for crop in crops
        ]
        self.size = size
        self.color_steps = color_steps
        self.degradations = degradations
        self.seed = seed

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> ViewsSample:
        rng = np.random.default_rng((self.seed, 1, index))
        place = shuffled_index(index, len(self.faces), self.seed)
        versions = [to_float(version) for version in self.faces[place]]
        change = drawn_change(self._another(place, rng), rng)
        faces = [versions[int(rng.integers(len(versions)))] for _ in range(4)]
        faces[2:] = [change(face) for face in faces[2:]]
        mirrored = rng.random() < 0.5
        views = [self._view(cv2.flip(face, 1) if mirrored else face, rng) for face in faces]  # pyright: ignore[reportArgumentType]
        return {"views": torch.stack([to_chw_tensor(view) for view in views])}

    def _another(self, place: int, rng: np.random.Generator) -> FloatImage:
        """Somebody else."""
        other = (place + int(rng.integers(1, len(self.faces)))) % len(self.faces)
        return to_float(self.faces[other][0])

    def _view(self, face: FloatImage, rng: np.random.Generator) -> FloatImage:
        view = misaligned(face, rng)
        for step in self.color_steps:
            view = step(view, rng)
        if rng.random() < COVERED:
            view = covered(view, rng)
        return self.degradations[int(rng.integers(len(self.degradations)))](view, rng)[0]


def restorations(folders: Sequence[Sequence[Crop]]) -> dict[str, list[Crop]]:
    """Restored pictures of several folders by the name of the face (RecipeError: a folder holds fewer than another)."""
    found: dict[str, list[Crop]] = {}
    for crop in (crop for folder in folders for crop in folder):
        found.setdefault(crop.key, []).append(crop)
    if short := [name for name, versions in found.items() if len(versions) != len(folders)]:
        raise RecipeError(f"not every folder of task.restored holds {short[0]} once")
    return found


def misaligned(face: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Turned, scaled and shifted by a little, about the middle; beyond the border the picture is mirrored."""
    side = face.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-TURN, TURN), 1 + rng.uniform(-SCALE, SCALE))
    matrix[:, 2] += rng.uniform(-MOVE, MOVE, 2) * side / 512
    warped = cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.float32)


def covered(face: FloatImage, rng: np.random.Generator) -> FloatImage:
    """A copy with a rectangle of one colour somewhere, up to three tenths of the sides (arXiv 1708.04896)."""
    side = face.shape[0]
    height, width = (int(value) for value in rng.integers(side // 16, 3 * side // 10, 2))
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    view = face.copy()
    view[top : top + height, left : left + width] = rng.random(3, np.float32)
    return view


def _shrunk(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(from_float(resize_crop(to_float(pixels), size), np.uint8), np.uint8)
