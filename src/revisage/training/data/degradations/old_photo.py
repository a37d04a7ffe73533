"""Steps that age a print: sepia, fading, scratches, dust, halftone, paper and film grain. Simple and fast, by eye."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.steps import LUMA, STRICT, NonNegativeRange, PositiveRange, Range, clip
from revisage.types import FloatImage

SEPIA = np.array([1.07, 0.86, 0.61], np.float32)
"""R, G, B of mid gray in a toned print."""
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class Sepia:
    """Brown tones instead of colors, ``strength`` of the way."""

    strength: Range = (0.5, 1.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        strength = rng.uniform(*self.strength)
        mix = (1 - strength) * np.eye(3) + strength * np.outer(SEPIA, LUMA)
        return clip(np.asarray(cv2.transform(image, mix.astype(np.float32)), np.float32))


@dataclass(frozen=True, config=STRICT)
class Fading:
    """Dyes that have lost their strength: blacks turn gray, whites yellow, and contrast goes, most of all in blue.

    Attributes:
        black: level that black has risen to.
        white: level that white has fallen to.
        yellow: by how much less blue rises and more it falls than the other channels.
    """

    black: Range = (0.02, 0.2)
    white: Range = (0.75, 0.98)
    yellow: Range = (0.0, 0.15)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        yellow = rng.uniform(*self.yellow) * np.array([0.0, 0.3, 1.0])
        low = np.maximum(rng.uniform(*self.black) - yellow / 2, 0)
        high = np.maximum(rng.uniform(*self.white) - yellow, low)
        return clip(image * (high - low).astype(np.float32) + low.astype(np.float32))


@dataclass(frozen=True, config=STRICT)
class Scratches:
    """Thin, slightly bent lines, mostly bright and upright, as where an emulsion was scraped off."""

    count: tuple[Count, Count] = (1, 8)
    opacity: Range = (0.3, 0.9)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        marks = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            start = rng.uniform((0, 0), (width, height))
            drift = rng.normal(0, (0.08 * width, 0.35 * height))
            bend = rng.normal(0, 0.02 * width, (1, 2)) * np.sin(np.linspace(0, np.pi, 9))[:, None]
            points = start + np.linspace(0, 1, 9)[:, None] * drift + bend
            strength = int(255 * rng.uniform(*self.opacity))
            # Coordinates in 16ths of a pixel.
            cv2.polylines(marks, [np.rint(points * 16).astype(np.int32)], False, strength, 1, cv2.LINE_AA, 4)
        return _paint(image, marks, rng.uniform(0.8, 1.0) if rng.random() < 0.75 else rng.uniform(0.0, 0.2))


@dataclass(frozen=True, config=STRICT)
class Dust:
    """Specks and curled hairs that lay on the negative (bright) or on the print (dark)."""

    specks: tuple[Count, Count] = (5, 80)
    hairs: tuple[Count, Count] = (0, 4)
    opacity: Range = (0.4, 1.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        marks = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(self.specks[0], self.specks[1] + 1))):
            center = np.rint(rng.uniform((0, 0), (width, height)) * 16).astype(int).tolist()
            radius = int(16 * min(rng.exponential(width / 600) + 0.3, width / 60))
            cv2.circle(marks, center, radius, int(255 * rng.uniform(*self.opacity)), -1, cv2.LINE_AA, 4)
        for _ in range(int(rng.integers(self.hairs[0], self.hairs[1] + 1))):
            angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, 14))
            steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * width / 120
            points = rng.uniform((0, 0), (width, height)) + np.cumsum(steps, axis=0)
            strength = int(255 * rng.uniform(*self.opacity))
            cv2.polylines(marks, [np.rint(points * 16).astype(np.int32)], False, strength, 1, cv2.LINE_AA, 4)
        return _paint(image, marks, rng.uniform(0.75, 1.0) if rng.random() < 0.7 else rng.uniform(0.0, 0.25))


@dataclass(frozen=True, config=STRICT)
class Halftone:
    """Printed in dots: each color through a screen of its own angle.

    Attributes:
        period: distance of the dots in pixels.
        hardness: 0 leaves the image unchanged, 1 leaves little but dots.
    """

    period: PositiveRange = (2.5, 6.0)
    hardness: Range = (0.2, 0.7)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        frequency, hardness = 2 * np.pi / rng.uniform(*self.period), rng.uniform(*self.hardness)
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        result = np.empty_like(image)
        for channel, degrees in enumerate((15, 75, 45)):
            angle = np.deg2rad(degrees)
            along = np.cos(frequency * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))))
            across = np.cos(frequency * (y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))))
            screen = 0.25 * (along + across)  # [-0.5, 0.5]; a dot grows as its tone darkens
            tone = image[..., channel]
            result[..., channel] = tone + np.float32(hardness) * screen * _midtone_weight(tone)
        return clip(result)


@dataclass(frozen=True, config=STRICT)
class PaperTexture:
    """Uneven, fibrous paper: brightness varies over a few pixels and, more softly, over the whole print."""

    strength: Range = (0.02, 0.1)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        strength = rng.uniform(*self.strength)
        fine = _smooth_noise(height, width, (max(height // 3, 1), max(width // 2, 1)), rng)
        broad = _smooth_noise(height, width, (5, 5), rng)
        shade = 1 + np.float32(strength) * (np.float32(0.6) * fine + np.float32(0.8) * broad)
        return clip(np.asarray(image * shade[..., None], np.float32))


@dataclass(frozen=True, config=STRICT)
class FilmGrain:
    """Gray, blotchy noise, strongest in the middle tones.

    Attributes:
        sigma: standard deviation in levels of 255.
        size: of a grain in pixels.
    """

    sigma: NonNegativeRange = (4.0, 20.0)
    size: PositiveRange = (1.0, 2.5)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        height, width = image.shape[:2]
        size = rng.uniform(*self.size)
        grain = _smooth_noise(height, width, (max(round(height / size), 1), max(round(width / size), 1)), rng)
        grain *= np.float32(rng.uniform(*self.sigma) / 255)
        strength = np.float32(0.3) + np.float32(0.7) * _midtone_weight(image)
        return clip(np.asarray(image + grain[..., None] * strength, np.float32))


def _midtone_weight(values: FloatImage) -> FloatImage:
    """4 x (1 - x): 1 in the middle, 0 in black and white."""
    return np.asarray(np.float32(4) * values * (np.float32(1) - values), np.float32)


def _smooth_noise(height: int, width: int, cells: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """(height, width) float32 noise of about unit variance, smooth between ``cells`` (rows, columns)."""
    noise = rng.standard_normal(cells, dtype=np.float32)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _paint(image: FloatImage, marks: NDArray[np.uint8], level: float) -> FloatImage:
    """Mix with a gray ``level``; ``marks``, (H, W) uint8, is the opacity times 255."""
    alpha = (marks.astype(np.float32) / np.float32(255))[..., None]
    return np.asarray(image + alpha * (np.float32(level) - image), np.float32)
