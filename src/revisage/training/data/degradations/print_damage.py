"""Damage of prints whose place is known: scratches, creases, dust and hairs, uneven as on real ones."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.steps import STRICT
from revisage.types import FloatImage

Counts = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
"""Smallest and largest number, both included."""
Marks = NDArray[np.float32]
"""(H, W) opacity in [0, 1]."""


@dataclass(frozen=True, config=STRICT)
class PrintDamage:
    """Thin or small defects of a print. Sizes are in pixels, so they do not grow with the image.

    Attributes:
        scratches: thin lines, bright or dark, whose opacity varies along their way.
        creases: long lines, bright and flaked, between soft shoulders.
        specks: dust of uneven outline.
        hairs: curled fibers.
        width: of the widest scratches and specks.
    """

    scratches: Counts = (0, 3)
    creases: Counts = (0, 1)
    specks: Counts = (0, 8)
    hairs: Counts = (0, 2)
    width: float = 6.0

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        for counts, draw in (
            (self.creases, self._crease),
            (self.scratches, self._scratch),
            (self.specks, self._speck),
            (self.hairs, self._hair),
        ):
            for _ in range(int(rng.integers(counts[0], counts[1] + 1))):
                image = draw(image, rng)
        return np.clip(image, 0, 1)

    def _scratch(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        reach = float(np.exp(rng.uniform(np.log(12), np.log(1.5 * max(height, width)))))
        angle = rng.normal(np.pi / 2, 0.25) if rng.random() < 0.5 else rng.uniform(0, np.pi)
        turns = angle + np.cumsum(rng.normal(0, rng.choice([0.01, 0.05, 0.15]), 12))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach / 12
        points = rng.uniform(0, (width, height)) + np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2
        stroke = min(0.5 + float(rng.exponential(1.0)), self.width)
        marks = _line(image, points, stroke) * _uneven(height, width, rng)
        return _paint(image, marks * np.float32(rng.uniform(0.3, 1.0)), _draw_color(rng, bright=0.7))

    def _crease(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        middle, angle = rng.uniform(0.1, 0.9, 2) * (width, height), rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        places = np.linspace(-1.2, 1.2, 20)[:, None] * max(height, width)
        points = middle + places * along + rng.normal(0, 0.7, (20, 1)) * (-along[1], along[0])
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        across = (y - np.float32(middle[1])) * np.float32(along[0]) - (x - np.float32(middle[0])) * np.float32(along[1])
        soft = np.float32(rng.uniform(1.5, 4))
        slope = rng.uniform(-1, 1) * across / soft + rng.uniform(-0.3, 1)  # light falls on one shoulder, not on both
        shade = np.float32(rng.uniform(0.03, 0.2)) * np.asarray(slope, np.float32) * np.exp(-((across / soft) ** 2))
        creased = np.asarray(image + shade[..., None], np.float32)
        flaked = _line(image, points, rng.uniform(0.7, 3)) * _uneven(height, width, rng)
        return _paint(creased, flaked * np.float32(rng.uniform(0.2, 1.0)), _draw_color(rng, bright=0.85))

    def _speck(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        radius = min(float(rng.exponential(1.2)) + 0.6, self.width)
        angles = np.linspace(0, 2 * np.pi, 9)[:-1]
        outline = np.stack([np.cos(angles) * rng.uniform(0.5, 1), np.sin(angles)], axis=1)
        points = rng.uniform(0, (width, height)) + outline * rng.uniform(0.6, 1.2, (8, 1)) * radius
        marks = np.zeros((height, width), np.uint8)
        cv2.fillPoly(marks, [_fixed_point(points)], 255, cv2.LINE_AA, 4)
        alpha = marks.astype(np.float32) / np.float32(255) * np.float32(rng.uniform(0.4, 1.0))
        return _paint(image, alpha, _draw_color(rng, bright=0.65))

    def _hair(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.1, 0.5), 16))
        steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(1.5, 6)
        points = rng.uniform(0, (width, height)) + np.cumsum(steps, axis=0)
        marks = _line(image, points, rng.uniform(0.6, 2.2)) * np.float32(rng.uniform(0.4, 1.0))
        return _paint(image, marks, _draw_color(rng, bright=0.6))


def _line(image: FloatImage, points: NDArray[np.float64], width: float) -> Marks:
    """A smooth line through points (x, y); below a width of 1 it is fainter instead of thinner."""
    marks = np.zeros(image.shape[:2], np.uint8)
    strength = int(255 * min(width, 1.0))
    cv2.polylines(marks, [_fixed_point(points)], False, strength, max(round(width), 1), cv2.LINE_AA, 4)
    return marks.astype(np.float32) / np.float32(255)


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """In 16ths of a pixel, as OpenCV wants them."""
    return np.rint(points * 16).astype(np.int32)


def _uneven(height: int, width: int, rng: np.random.Generator) -> Marks:
    """(height, width) opacity that varies over some pixels, with gaps."""
    cell = rng.uniform(3, 24)
    cells = max(round(height / cell), 2), max(round(width / cell), 2)
    noise = cv2.resize(rng.random(cells, dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(
        np.asarray(noise, np.float32) * np.float32(rng.uniform(1, 4)) + np.float32(rng.uniform(-0.6, 1)), 0, 1
    )


def _draw_color(rng: np.random.Generator, bright: float) -> NDArray[np.float32]:
    """(3,) nearly gray, bright with a probability, else dark; at times with the tint of a single dye."""
    level = rng.uniform(0.75, 1.0) if rng.random() < bright else rng.uniform(0.0, 0.25)
    tint = rng.normal(0, 0.15 if rng.random() < 0.15 else 0.02, 3)
    return np.clip(level + tint, 0, 1).astype(np.float32)


def _paint(image: FloatImage, marks: Marks, color: NDArray[np.float32]) -> FloatImage:
    return np.asarray(image + marks[..., None] * (color - image), np.float32)
