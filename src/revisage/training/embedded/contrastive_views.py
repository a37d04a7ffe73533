"""Samples for the identity embedder: views of a face, and of the same face changed into another person's.

With one photo a person, changed faces, with features moved or exchanged, are the hardest negatives there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from revisage.types import Array, FloatImage

ROTATION, SCALE, TRANSLATION = 4.0, 0.05, 5.0
"""How badly faces may be aligned: degrees, share of the size, pixels of 512; a detector's error and a little more."""
P_ERASE = 0.15
"""Probability that a part of a view is hidden."""


class ViewsSample(TypedDict):
    """``views`` (4, 3, S, S) float32 RGB in [-1, 1]: two of a face, two of one that is nearly the same."""

    views: torch.Tensor


class ContrastiveViews(Dataset[ViewsSample]):
    """Endless views of faces, each a pure function of (seed, index).

    Args:
        crops: one aligned face a person.
        restored: key of a crop -> what a restorer made of degraded versions of it.
        size: of the views.
        color_steps: applied to each view, in order.
        degradations: one of them is applied to each view, all equally likely; in pixels of a view.
        seed: of everything random.
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
            tuple(_shrink(version.pixels, size) for version in (crop, *restored.get(crop.key, ()))) for crop in crops
        ]
        self.size = size
        self.color_steps = color_steps
        self.degradations = degradations
        self.seed = seed

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> ViewsSample:
        rng = np.random.default_rng((self.seed, 1, index))
        position = shuffled_index(index, len(self.faces), self.seed)
        versions = [to_float(version) for version in self.faces[position]]
        change = draw_identity_change(self._draw_another(position, rng), rng)
        faces = [versions[int(rng.integers(len(versions)))] for _ in range(4)]
        faces[2:] = [change(face) for face in faces[2:]]
        mirrored = rng.random() < 0.5
        views = [self._make_view(cv2.flip(face, 1) if mirrored else face, rng) for face in faces]  # pyright: ignore[reportArgumentType]
        return {"views": torch.stack([to_chw_tensor(view) for view in views])}

    def _draw_another(self, position: int, rng: np.random.Generator) -> FloatImage:
        """The face of another person."""
        other = (position + int(rng.integers(1, len(self.faces)))) % len(self.faces)
        return to_float(self.faces[other][0])

    def _make_view(self, face: FloatImage, rng: np.random.Generator) -> FloatImage:
        view = misalign(face, rng)
        for step in self.color_steps:
            view = step(view, rng)
        if rng.random() < P_ERASE:
            view = erase(view, rng)
        return self.degradations[int(rng.integers(len(self.degradations)))](view, rng)[0]


def group_by_key(folders: Sequence[Sequence[Crop]]) -> dict[str, list[Crop]]:
    """Group restored images of several folders by face (RecipeError: a folder holds fewer than another)."""
    found: dict[str, list[Crop]] = {}
    for crop in (crop for folder in folders for crop in folder):
        found.setdefault(crop.key, []).append(crop)
    if short := [name for name, versions in found.items() if len(versions) != len(folders)]:
        raise RecipeError(f"not every folder of task.restored holds {short[0]} once")
    return found


def misalign(face: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Rotate, scale and shift by a little, about the center; beyond the border the image is mirrored."""
    side = face.shape[0]
    center = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((center, center), rng.uniform(-ROTATION, ROTATION), 1 + rng.uniform(-SCALE, SCALE))
    matrix[:, 2] += rng.uniform(-TRANSLATION, TRANSLATION, 2) * side / 512
    warped = cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.float32)


def erase(face: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Put a rectangle of one color somewhere in a copy, up to three tenths of each side (arXiv 1708.04896)."""
    side = face.shape[0]
    height, width = (int(value) for value in rng.integers(side // 16, 3 * side // 10, 2))
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    view = face.copy()
    view[top : top + height, left : left + width] = rng.random(3, np.float32)
    return view


def _shrink(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(from_float(resize_crop(to_float(pixels), size), np.uint8), np.uint8)


Change = Callable[[FloatImage], FloatImage]
"""Turns an aligned face into another person's, always the same one; so a restored version of the face as well."""

SHIFT = 4.0, 10.0
"""Lowest and highest standard deviation of a moved feature's displacement, in pixels of a crop of 512."""
GRID = 8
"""Displacements along a side of the crop that are drawn independently; 64 pixels of 512 lie between two."""
FEATURES = {
    "eyes": ((256, 235), (110, 48)),
    "nose": ((256, 295), (48, 48)),
    "mouth": ((257, 372), (80, 42)),
}
"""Center (x, y) and half axes of the ellipses that hold the features of an aligned face of 512 pixels."""


def draw_identity_change(other: FloatImage, rng: np.random.Generator) -> Change:
    """Draw how a face becomes another one: features are displaced, some exchanged for those of ``other``, or both.

    The three are equally likely; the change is for faces of the same side S as ``other`` (S, S, 3).
    """
    kind = int(rng.integers(3))
    shift = displace_features(other.shape[0], rng.uniform(*SHIFT), rng) if kind != 1 else None
    exchange = swap_features(other, rng) if kind != 0 else None

    def change(face: FloatImage) -> FloatImage:
        face = exchange(face) if exchange else face
        return shift(face) if shift else face

    return change


def displace_features(side: int, deviation: float, rng: np.random.Generator) -> Change:
    """Draw a smooth random displacement of everything in a face, of a ``deviation`` in pixels of a crop of 512."""
    coarse = rng.standard_normal((GRID, GRID, 2), np.float32) * np.float32(deviation * side / 512)
    field = np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).astype(np.float32) + field

    def change(face: FloatImage) -> FloatImage:
        warped = cv2.remap(face, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return np.asarray(warped, np.float32)

    return change


def swap_features(other: FloatImage, rng: np.random.Generator) -> Change:
    """Draw an exchange of one or two of eyes, nose and mouth for those of ``other``, in the colors of the face."""
    side = other.shape[0]
    names = rng.choice(list(FEATURES), size=int(rng.integers(1, 3)), replace=False)
    masks = [_ellipse(side, *FEATURES[name]) for name in names]

    def change(face: FloatImage) -> FloatImage:
        mixed = face
        for mask in masks:
            mixed = np.asarray(mixed + mask[..., None] * (_recolor(other, mixed, mask) - mixed), np.float32)
        return np.clip(mixed, 0, 1)

    return change


def _ellipse(side: int, center: tuple[int, int], axes: tuple[int, int]) -> Array:
    """(side, side) 1 in the ellipse, falling to 0 over the outer half of its radius; axes in pixels of 512."""
    grid = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(512 / side) - np.float32(0.5)
    x, y = (grid - center[0]) / axes[0], (grid - center[1]) / axes[1]
    return np.clip(2 * (1.25 - np.hypot(x[None, :], y[:, None])), 0, 1).astype(np.float32)


def _recolor(source: FloatImage, target: FloatImage, mask: Array) -> FloatImage:
    """``source`` with mean and deviation of ``target`` in each channel, both taken where the mask is above a half."""
    inside = (mask > 0.5).astype(np.uint8)
    (mean, deviation), (wanted, spread) = (cv2.meanStdDev(image, mask=inside) for image in (source, target))
    factor = (spread + 1e-3) / (deviation + 1e-3)
    matrix = np.hstack([np.diag(factor[:, 0]), wanted - factor * mean])  # a factor and a shift for each channel
    return np.asarray(cv2.transform(source, matrix), np.float32)
