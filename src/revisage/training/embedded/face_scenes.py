"""Scenes with known faces for training a detector: photos and crops placed, turned and scattered on backgrounds.

A scene is a background without faces, placements of labeled photos on it (each an affine map and a mask), and
degradation. Faces that are largely hidden, cut off, too small or too blurred to be told from anything else are marked
as uncertain: neither face nor background.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from revisage.training.embedded.backgrounds import SceneBackgrounds
from revisage.training.embedded.canvas import (
    Canvas,
    Matrix,
    Scene,
    Shape,
    aim,
    bounds,
    draw_angle,
    draw_region,
    overlaps,
    similarity,
    transform_boxes,
)
from revisage.training.embedded.detector_degradation import DetectorDegradation
from revisage.training.embedded.labeled_photos import Floats, HardNegatives, LabeledPhoto


class SceneSample(TypedDict):
    """A scene: ``image`` (3, S, S) uint8 RGB, ``boxes`` (F, 4), ``landmarks`` (F, 10), ``certain`` (F,) bool."""

    image: torch.Tensor
    boxes: torch.Tensor
    landmarks: torch.Tensor
    certain: torch.Tensor


class FaceScenes(Dataset[SceneSample]):
    """Endless scenes; scene ``index`` depends on (seed, index) and on nothing else.

    Args:
        photos: whole photos with their faces.
        crops: images of one face each.
        side: of a scene in pixels, a multiple of 4.
        seed: of everything random.
        false_positives: name of a photo -> (K, 4) boxes in it that a network wrongly took for faces: shown as often as
            all other small things together.
        backgrounds: how many are made in advance. Most scenes use a part of one of them, turned and in other colors: a
            new one takes longer than all the rest of a scene.
    """

    def __init__(
        self,
        photos: Sequence[LabeledPhoto],
        crops: Sequence[LabeledPhoto],
        side: int,
        seed: int,
        false_positives: Mapping[str, Floats] | None = None,
        backgrounds: int = 1000,
    ) -> None:
        self.photos = list(photos)
        self.crops = list(crops) or self.photos
        self.side = side
        self.seed = seed
        self.degradation = DetectorDegradation(seed)
        self._hard_negatives = HardNegatives(self.photos, false_positives or {})
        self._background = SceneBackgrounds(self.photos, side, backgrounds, np.random.default_rng((seed, 5)))

    def __len__(self) -> int:
        return len(self.photos) + len(self.crops)

    def __getitem__(self, index: int) -> SceneSample:
        scene = self.scene(np.random.default_rng((self.seed, 3, index)))
        return {
            "image": torch.from_numpy(np.ascontiguousarray(scene.pixels.transpose(2, 0, 1))),
            "boxes": torch.from_numpy(scene.boxes),
            "landmarks": torch.from_numpy(scene.landmarks.reshape(-1, 10)),
            "certain": torch.from_numpy(scene.certain),
        }

    def scene(self, rng: np.random.Generator) -> Scene:
        """A random scene of any kind."""
        kinds: tuple[tuple[float, Callable[[np.random.Generator], Scene]], ...] = (
            (0.18, lambda r: self.photo(r, self.side)),
            (0.08, lambda r: self.tiled(r, 2, self.photo)),
            (0.26, self.group),
            (0.05, lambda r: self.portrait(r, self.side)),
            (0.31, lambda r: self.tiled(r, 2, self.portrait)),
            (0.12, self.empty),
        )
        chosen = rng.choice(len(kinds), p=[share for share, _ in kinds])
        return kinds[int(chosen)][1](rng)

    def photo(self, rng: np.random.Generator, side: int) -> Scene:
        """One photo at any scale and place, its main face 10 pixels wide or as wide as the scene."""
        canvas = Canvas(self._background(rng, side))
        photo = self._choose(rng, self.photos if rng.random() < 0.75 else self.crops)
        face = int(rng.integers(len(photo.boxes))) if len(photo.boxes) else None
        width = 10 * (0.95 * side / 10) ** rng.random()
        matrix = aim(photo, face, width, rng.uniform(0.1, 0.9, 2) * side, draw_angle(rng), rng)
        shape: Shape = "whole" if rng.random() < 0.3 else "rectangle"
        canvas.place(photo, matrix, shape, bounds(photo), float(rng.choice((0, 0, 2, 6))))
        return canvas.finish(self.degradation, rng, 3.0)

    def portrait(self, rng: np.random.Generator, side: int) -> Scene:
        """One nearly upright face, half as wide as the scene, that may have been very small: for exact landmarks."""
        if self._hard_negatives and rng.random() < 0.3:
            return self.spot(rng, side)
        canvas = Canvas(self._background(rng, side))
        photo = self._choose(rng, self.crops if rng.random() < 0.7 else self.photos)
        if not len(photo.boxes):
            return canvas.finish(self.degradation, rng, 3.0)
        width = side * rng.uniform(0.36, 0.64)
        center = side / 2 + rng.normal(0, 0.04 * side, 2)
        matrix = aim(photo, 0, width, center, rng.normal(0, 8), rng)
        canvas.place(photo, matrix, "rectangle", bounds(photo), float(rng.choice((0, 3, 8))))
        return canvas.finish(self.degradation, rng, 1.3 if rng.random() < 0.35 else width / 7.5)

    def spot(self, rng: np.random.Generator, side: int) -> Scene:
        """Something small and striking in a photo, a pin or a button, as large as a portrait would show a face."""
        photo, x, y, size = self._hard_negatives.choose(rng)
        canvas = Canvas(np.zeros((side, side, 3), np.uint8))
        scale, center = side * rng.uniform(0.15, 0.6) / size, side / 2 + rng.normal(0, 0.05 * side, 2)
        matrix = similarity(scale, rng.normal(0, 20), rng.random() < 0.5, np.array([x, y]), center)
        canvas.place(photo, matrix, "whole", bounds(photo), 0)
        return canvas.finish(self.degradation, rng, 3.0)

    def group(self, rng: np.random.Generator) -> Scene:
        """Up to fourteen faces of any size scattered over a background, mostly without overlap."""
        canvas = Canvas(self._background(rng, self.side))
        largest = 24 * (0.5 * self.side / 24) ** rng.random()
        for _ in range(int(rng.integers(1, 15))):
            photo = self._choose(rng, self.crops if rng.random() < 0.7 else self.photos)
            if not len(photo.boxes):
                continue
            width = 9 * (largest / 9) ** rng.random()
            face = int(rng.integers(len(photo.boxes)))
            region = draw_region(photo, face, rng)
            matrix = self._find_free_position(canvas, photo, face, width, rng)
            if matrix is not None:
                shape: Shape = "ellipse" if rng.random() < 0.4 else "rectangle"
                canvas.place(photo, matrix, shape, region, float(rng.choice((0, 1, 3)) * width / 40))
        if rng.random() < 0.3:
            self._scatter_features(canvas, rng)
        return canvas.finish(self.degradation, rng, 2.5)

    def empty(self, rng: np.random.Generator) -> Scene:
        """No face: a background, parts of faces on it now and then."""
        canvas = Canvas(self._background(rng, self.side))
        if rng.random() < 0.5:
            self._scatter_features(canvas, rng)
        return canvas.finish(self.degradation, rng, 3.0)

    def tiled(self, rng: np.random.Generator, count: int, part: Callable[[np.random.Generator, int], Scene]) -> Scene:
        """``count`` x ``count`` smaller scenes side by side."""
        side = self.side // count
        pixels = np.empty((self.side, self.side, 3), np.uint8)
        parts: list[Scene] = []
        for row in range(count):
            for column in range(count):
                tile = part(rng, side)
                offset = np.array([column * side, row * side], np.float32)
                pixels[row * side : (row + 1) * side, column * side : (column + 1) * side] = tile.pixels
                moved = tile.boxes + np.tile(offset, 2), tile.landmarks + offset
                parts.append(Scene(tile.pixels, *moved, tile.certain))
        return Scene(
            pixels,
            np.concatenate([tile.boxes for tile in parts]),
            np.concatenate([tile.landmarks for tile in parts]),
            np.concatenate([tile.certain for tile in parts]),
        )

    def _scatter_features(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Paste single eyes, noses and mouths, and striking spots of photos: alone they are no face."""
        for _ in range(int(rng.integers(1, 6))):
            photo, point, reach = self._feature(rng)
            region = np.concatenate([point - reach, point + reach]).astype(np.float32)
            scale = rng.uniform(8, 60) / (2 * reach[0])
            target = rng.uniform(0, canvas.side, 2)
            if not overlaps(canvas.boxes, np.concatenate([target, target]), -40):
                bare = LabeledPhoto(photo.name, photo.pixels, photo.boxes[:0], photo.landmarks[:0])
                matrix = similarity(scale, draw_angle(rng), rng.random() < 0.5, point, target)
                canvas.place(bare, matrix, "rectangle", region, float(rng.uniform(0, 3)))

    def _feature(self, rng: np.random.Generator) -> tuple[LabeledPhoto, NDArray[np.float64], NDArray[np.float64]]:
        """A photo, a place in it that is part of a face or strikes the eye, and how far it reaches in x and y."""
        crop = self._choose(rng, self.crops)
        if self._hard_negatives and (rng.random() < 0.5 or not len(crop.boxes)):
            photo, x, y, size = self._hard_negatives.choose(rng)
            return photo, np.array([x, y]), size * rng.uniform(0.6, 1.4, 2)
        width = float(crop.boxes[0, 2] - crop.boxes[0, 0])
        return crop, crop.landmarks[0, int(rng.integers(5))].astype(np.float64), width * rng.uniform(0.12, 0.2, 2)

    def _find_free_position(
        self, canvas: Canvas, photo: LabeledPhoto, face: int, width: float, rng: np.random.Generator
    ) -> Matrix | None:
        """A place for a face that leaves the others visible; None if a few tries find none."""
        angle = draw_angle(rng)
        for _ in range(4):
            center = rng.uniform(-0.1 * width, canvas.side + 0.1 * width, 2)
            matrix = aim(photo, face, width, center, angle, rng)
            if not overlaps(canvas.boxes, transform_boxes(photo.boxes[face : face + 1], matrix)[0], 0.12 * width):
                return matrix
        return None

    @staticmethod
    def _choose(rng: np.random.Generator, photos: Sequence[LabeledPhoto]) -> LabeledPhoto:
        return photos[int(rng.integers(len(photos)))]


def collate(samples: Sequence[SceneSample]) -> dict[str, torch.Tensor]:
    """Scenes -> ``images`` (N, 3, S, S) uint8, ``boxes`` (N, F, 4), ``landmarks`` (N, F, 10), ``kinds`` (N, F) int64.

    F is the largest number of faces; kinds are 1 a face, 0 uncertain, -1 no entry.
    """
    count = max(max(len(sample["boxes"]) for sample in samples), 1)
    boxes = torch.zeros(len(samples), count, 4)
    landmarks = torch.zeros(len(samples), count, 10)
    kinds = torch.full((len(samples), count), -1)
    for row, sample in enumerate(samples):
        faces = len(sample["boxes"])
        boxes[row, :faces] = sample["boxes"]
        landmarks[row, :faces] = sample["landmarks"]
        kinds[row, :faces] = sample["certain"].long()
    images = torch.stack([sample["image"] for sample in samples])
    return {"images": images, "boxes": boxes, "landmarks": landmarks, "kinds": kinds}
