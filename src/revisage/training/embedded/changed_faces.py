"""Faces made into other people's: features moved, or exchanged for somebody else's.

With one photo a person, these are the nearest other people that a network which judges likeness can be shown.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from revisage.types import Array, FloatImage

Change = Callable[[FloatImage], FloatImage]
"""Makes another person of an aligned face; the same one each time, so of a restored version of that face as well."""

SHIFT = 4.0, 10.0
"""Lowest and highest standard deviation of a moved feature's displacement, in pixels of a crop of 512."""
GRID = 8
"""Displacements along a side of the crop that are drawn independently; 64 pixels of 512 lie between two."""
PARTS = {
    "eyes": ((256, 235), (110, 48)),
    "nose": ((256, 295), (48, 48)),
    "mouth": ((257, 372), (80, 42)),
}
"""Centre (x, y) and half axes of the ellipses that hold the features of an aligned face of 512 pixels."""


def drawn_change(other: FloatImage, rng: np.random.Generator) -> Change:
    """Draw how a face becomes another one.

    Args:
        other: (S, S, 3) another person's aligned face, of which features may come.
        rng: source of all choices.

    Returns:
        As often a displacement of the features, an exchange of some, or both; for faces of the same side S.
    """
    kind = int(rng.integers(3))
    shift = moved(other.shape[0], rng.uniform(*SHIFT), rng) if kind != 1 else None
    exchange = exchanged(other, rng) if kind != 0 else None

    def change(face: FloatImage) -> FloatImage:
        face = exchange(face) if exchange else face
        return shift(face) if shift else face

    return change


def moved(side: int, deviation: float, rng: np.random.Generator) -> Change:
    """A smooth random displacement of everything in a face.

    Args:
        side: of the faces, in pixels.
        deviation: standard deviation of the displacement in x and in y, in pixels of a crop of 512.
        rng: source of the displacements.
    """
    coarse = rng.standard_normal((GRID, GRID, 2), np.float32) * np.float32(deviation * side / 512)
    field = np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).astype(np.float32) + field

    def change(face: FloatImage) -> FloatImage:
        warped = cv2.remap(face, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return np.asarray(warped, np.float32)

    return change


def exchanged(other: FloatImage, rng: np.random.Generator) -> Change:
    """One or two of eyes, nose and mouth exchanged for those of ``other``, in the colours of the face."""
    side = other.shape[0]
    names = rng.choice(list(PARTS), size=int(rng.integers(1, 3)), replace=False)
    masks = [_ellipse(side, *PARTS[name]) for name in names]

    def change(face: FloatImage) -> FloatImage:
        mixed = face
        for mask in masks:
            mixed = np.asarray(mixed + mask[..., None] * (_recoloured(other, mixed, mask) - mixed), np.float32)
        return np.clip(mixed, 0, 1)

    return change


def _ellipse(side: int, centre: tuple[int, int], axes: tuple[int, int]) -> Array:
    """(side, side) 1 in the ellipse, falling to 0 over the outer half of its radius; axes in pixels of 512."""
    grid = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(512 / side) - np.float32(0.5)
    x, y = (grid - centre[0]) / axes[0], (grid - centre[1]) / axes[1]
    return np.clip(2 * (1.25 - np.hypot(x[None, :], y[:, None])), 0, 1).astype(np.float32)


def _recoloured(source: FloatImage, target: FloatImage, mask: Array) -> FloatImage:
    """``source`` with mean and deviation of ``target`` in each channel, both taken where the mask is above a half."""
    inside = (mask > 0.5).astype(np.uint8)
    (mean, deviation), (wanted, spread) = (cv2.meanStdDev(picture, mask=inside) for picture in (source, target))
    factor = (spread + 1e-3) / (deviation + 1e-3)
    matrix = np.hstack([np.diag(factor[:, 0]), wanted - factor * mean])  # a factor and a shift for each channel
    return np.asarray(cv2.transform(source, matrix), np.float32)
