"""Colour steps: gray, exposure, haze, casts, and the jitter of brightness, contrast, saturation and hue."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.step import STRICT, Range
from revisage.types import FloatImage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G, B in gray (ITU-R BT.601)."""
_JITTER_LUMA = np.array([0.2989, 0.587, 0.114])
"""The weights that the jitter's gray has had since PIL; they sum to 0.9999."""


def to_gray(image: FloatImage) -> FloatImage:
    """Luma in all three channels."""
    return np.repeat((image @ LUMA)[..., None], 3, axis=2)


@dataclass(frozen=True, config=STRICT)
class Gray:
    """Luma in all three channels."""

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        del rng
        return to_gray(image)


@dataclass(frozen=True, config=STRICT)
class Exposure:
    """Multiply by a factor, clipped: RestoreFormer++'s range by default (Wang et al. 2023, arXiv 2308.07228)."""

    factor: Range = (0.7, 1.1)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        return brightness(image, rng.uniform(*self.factor))


@dataclass(frozen=True, config=STRICT)
class Haze:
    """Mix with white: a x + (1 - a), ``transmission`` a."""

    transmission: Range = (0.75, 0.95)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        a = np.float32(rng.uniform(*self.transmission))
        return image * a + (1 - a)


@dataclass(frozen=True, config=STRICT)
class ChannelShift:
    """Add to each channel a number of its own from -``shift`` to ``shift``, in levels of 255; clipped."""

    shift: Annotated[float, Field(ge=0)] = 20.0

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        limit = self.shift / 255
        shifts = rng.uniform(-limit, limit, 3).astype(np.float32)
        return _clipped(_plus(image, shifts))


@dataclass(frozen=True, config=STRICT)
class ColourJitter:
    """Brightness, contrast, saturation and hue changed in random order, each by a factor (hue: a turn) of its range."""

    brightness: Range = (0.5, 1.5)
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.0, 1.5)
    hue: Range = (-0.1, 0.1)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        changes = (
            (brightness, self.brightness),
            (contrast, self.contrast),
            (saturation, self.saturation),
            (turned_hue, self.hue),
        )
        for index in rng.permutation(len(changes)):
            change, limits = changes[index]
            image = change(image, rng.uniform(*limits))
        return image


def brightness(image: FloatImage, factor: float) -> FloatImage:
    """``factor`` x, clipped to [0, 1]."""
    return _clipped(image * np.float32(factor))


def contrast(image: FloatImage, factor: float) -> FloatImage:
    """``factor`` x + (1 - ``factor``) m, m the mean gray of the whole picture; clipped."""
    mean = float(np.dot(_JITTER_LUMA, cv2.mean(image)[:3]))
    return _clipped(image * np.float32(factor) + np.float32((1 - factor) * mean))


def saturation(image: FloatImage, factor: float) -> FloatImage:
    """``factor`` x + (1 - ``factor``) gray(x), clipped; 0 makes gray."""
    mix: NDArray[np.float64] = factor * np.eye(3) + (1 - factor) * _JITTER_LUMA[None, :]
    return _clipped(np.asarray(cv2.transform(image, mix.astype(np.float32)), np.float32))


def turned_hue(image: FloatImage, turn: float) -> FloatImage:
    """Turn the hue of HSV by ``turn`` of the whole circle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    # Hues above 360 degrees count from 0 again; negative ones are avoided.
    turned = _plus(np.asarray(hsv, np.float32), np.array([360 * (turn % 1), 0.0, 0.0]))
    return _clipped(np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB), np.float32))


def _plus(image: FloatImage, numbers: NDArray[np.floating]) -> FloatImage:
    """Add a number to each channel; several times as fast as NumPy's broadcasting over so short an axis."""
    return np.asarray(cv2.add(image, np.append(numbers, 0.0)), np.float32)


def _clipped(image: FloatImage) -> FloatImage:
    """To [0, 1], in place."""
    return np.clip(image, 0, 1, out=image)
