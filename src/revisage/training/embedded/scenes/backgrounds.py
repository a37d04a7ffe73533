"""What lies behind the faces of a scene: drawn textures, and photos with their faces avoided, covered or in pieces."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.training.embedded.scenes.canvas import Canvas
from revisage.training.embedded.scenes.geometry import aim, bounds, touches, turn
from revisage.training.embedded.scenes.labelled_photos import LabelledPhoto, Pixels
from revisage.training.embedded.scenes.patterns import jigsaw, procedural


class SceneBackgrounds:
    """Backgrounds without faces.

    Args:
        photos: what they are made of, beside drawn textures.
        side: in pixels of those made in advance.
        count: how many are made in advance.
        rng: of those.
    """

    def __init__(self, photos: Sequence[LabelledPhoto], side: int, count: int, rng: np.random.Generator) -> None:
        self._photos = photos
        self._side = side
        self._made = [new_background(photos, side, rng) for _ in range(count)]

    def __call__(self, rng: np.random.Generator, side: int) -> Pixels:
        """(side, side, 3) without faces, mostly a variation of one made in advance."""
        if not self._made or rng.random() < 0.15:
            return new_background(self._photos, side, rng)
        pixels = self._made[int(rng.integers(len(self._made)))]
        top, left = rng.integers(0, self._side - side + 1, 2)
        part = pixels[top : top + side, left : left + side, rng.permutation(3) if rng.random() < 0.3 else slice(None)]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        # Mostly upright: a photo's light comes from above.
        return np.ascontiguousarray(np.rot90(part, int(rng.integers(1, 4))) if rng.random() < 0.3 else part)


def new_background(photos: Sequence[LabelledPhoto], side: int, rng: np.random.Generator) -> Pixels:
    """Drawn, a face-free part of a photo, or a photo whose faces are covered."""
    kind = rng.random()
    if kind < 0.4:
        return procedural(side, rng)
    photo = photos[int(rng.integers(len(photos)))]
    if kind < 0.65:
        free = _face_free(photo, rng)
        if free is not None:
            return np.asarray(cv2.resize(free, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    covered = kind < 0.85
    return _covered(photo, rng, side) if covered else _in_disorder(photo, rng, side)


def _in_disorder(photo: LabelledPhoto, rng: np.random.Generator, side: int) -> Pixels:
    """A photo in pieces much smaller than its faces."""
    canvas = Canvas(np.zeros((side, side, 3), np.uint8))
    width = side * rng.uniform(0.15, 0.9)
    matrix = aim(photo, 0 if len(photo.boxes) else None, width, rng.uniform(0.2, 0.8, 2) * side, turn(rng), rng)
    canvas.place(photo, matrix, "whole", bounds(photo), 0)
    return jigsaw(canvas.pixels, max(int(width * rng.uniform(0.1, 0.3)), 3), rng)


def _covered(photo: LabelledPhoto, rng: np.random.Generator, side: int) -> Pixels:
    """A photo over the whole canvas, something else where its faces were."""
    canvas = Canvas(np.zeros((side, side, 3), np.uint8))
    width = side * rng.uniform(0.1, 0.6)
    matrix = aim(photo, 0 if len(photo.boxes) else None, width, rng.uniform(0.2, 0.8, 2) * side, turn(rng), rng)
    canvas.place(photo, matrix, "whole", bounds(photo), 0)
    for box in canvas.boxes:
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * rng.uniform(0.55, 0.8)
        mask = np.zeros((side, side), np.uint8)
        axes = int(half[0]) + 1, int(half[1]) + 1
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, 255, -1)
        canvas.pixels[mask > 0] = _filling(canvas.pixels, mask, side, rng)[mask > 0]
    return canvas.pixels


def _filling(pixels: Pixels, mask: NDArray[np.uint8], side: int, rng: np.random.Generator) -> Pixels:
    """What replaces a face: a drawn texture, its mean colour, or parts of the photo in disorder."""
    kind = rng.random()
    if kind < 0.4:
        return procedural(side, rng)
    if kind < 0.7:
        colour = cv2.mean(pixels, mask)[:3]
        return np.clip(np.array(colour) + rng.normal(0, 6, (side, side, 1)), 0, 255).astype(np.uint8)
    return jigsaw(pixels, max(int(mask.any(axis=0).sum() * rng.uniform(0.12, 0.3)), 2), rng)


def _face_free(photo: LabelledPhoto, rng: np.random.Generator) -> Pixels | None:
    """A random part of a photo that keeps off its faces; None if a few tries find none."""
    height, width = photo.pixels.shape[:2]
    for _ in range(6):
        size = (np.array([width, height]) * rng.uniform(0.15, 0.7, 2)).astype(int)
        left, top = rng.integers(0, (width - size[0], height - size[1]))
        window = np.array([left, top, left + size[0], top + size[1]], np.float32)
        if not touches(photo.boxes, window, 0):
            return photo.pixels[top : top + size[1], left : left + size[0]]
    return None
