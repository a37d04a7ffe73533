"""Steps ``(image, rng) -> image`` on (H, W, 3) float32 RGB in [0, 1]: their type, and those for color, noise and JPEG.

A step draws all its randomness from ``rng``, leaves its input as it is, and may change the size. The package's steps
are frozen dataclasses whose settings are validated when they are made. Any function of this form is a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field, NonNegativeFloat, PositiveFloat
from pydantic.dataclasses import dataclass

from revisage.images.pixels import to_float
from revisage.types import FloatImage

Step = Callable[[FloatImage, np.random.Generator], FloatImage]
Degradation = Callable[[FloatImage, np.random.Generator], tuple[FloatImage, FloatImage]]
"""Original -> (lq, gt) of equal size."""

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""For ``pydantic.dataclasses.dataclass``: an unknown setting is an error, and so is one that is no finite number."""


def _check_order(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"a range goes from low to high, not from {limits[0]:g} to {limits[1]:g}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_check_order)]
"""Lowest and highest value of a uniform draw."""
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_check_order)]
NonNegativeRange = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(_check_order)]
Quality = Annotated[float, Field(ge=1, le=100)]
QualityRange = Annotated[tuple[Quality, Quality], AfterValidator(_check_order)]
Probability = Annotated[float, Field(ge=0, le=1)]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G, B in gray (ITU-R BT.601)."""
_JITTER_LUMA = np.array([0.2989, 0.587, 0.114])
"""PIL's weights, which color jitters have used since; they sum to 0.9999."""


@dataclass(frozen=True, config=STRICT)
class Gray:
    """Luma in all three channels."""

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        del rng
        return to_gray(image)


@dataclass(frozen=True, config=STRICT)
class Exposure:
    """Multiply by a factor, clipped; RestoreFormer++'s range by default (Wang et al. 2023, arXiv 2308.07228)."""

    factor: Range = (0.7, 1.1)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        return adjust_brightness(image, rng.uniform(*self.factor))


@dataclass(frozen=True, config=STRICT)
class Haze:
    """Mix with white: a x + (1 - a), ``transmission`` a."""

    transmission: Range = (0.75, 0.95)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        a = np.float32(rng.uniform(*self.transmission))
        return image * a + (1 - a)


@dataclass(frozen=True, config=STRICT)
class ChannelShift:
    """Add a number from -``shift`` to ``shift``, in levels of 255, to each channel independently; clipped."""

    shift: Annotated[float, Field(ge=0)] = 20.0

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        limit = self.shift / 255
        return clip(_add(image, rng.uniform(-limit, limit, 3).astype(np.float32)))


@dataclass(frozen=True, config=STRICT)
class ColorJitter:
    """Adjust brightness, contrast, saturation (factors) and hue (fraction of the circle) in random order."""

    brightness: Range = (0.5, 1.5)
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.0, 1.5)
    hue: Range = (-0.1, 0.1)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        adjustments = (
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation),
            (adjust_hue, self.hue),
        )
        for index in rng.permutation(len(adjustments)):
            adjust, limits = adjustments[index]
            image = adjust(image, rng.uniform(*limits))
        return image


@dataclass(frozen=True, config=STRICT)
class Noise:
    """Gaussian noise; ``sigma`` in levels of 255. Equal in all channels with probability ``gray``, else independent."""

    sigma: NonNegativeRange = (0.0, 20.0)
    gray: Probability = 0.0

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        shape = (*image.shape[:2], 1) if self.gray and rng.random() < self.gray else image.shape
        noise = rng.standard_normal(shape, dtype=np.float32)
        noise *= np.float32(rng.uniform(*self.sigma) / 255)
        return clip(image + noise)


@dataclass(frozen=True, config=STRICT)
class PoissonNoise:
    """Shot noise, stronger in brighter pixels (Wang et al. 2021, arXiv 2107.10833).

    An image of n different levels is counted in 2^ceil(log2 n) quanta; the deviation from the mean is then scaled.

    Attributes:
        scale: of the noise; 1 is that of the count.
        gray: probability that all channels get the noise of the gray image.
    """

    scale: Range = (0.05, 3.0)
    gray: Probability = 0.4

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        scale = rng.uniform(*self.scale)
        source = to_gray(image)[..., :1] if rng.random() < self.gray else image
        levels = np.rint(np.clip(source, 0, 1) * 255)
        used = np.count_nonzero(np.bincount(levels.ravel().astype(np.uint8), minlength=256))
        quanta = np.float32(2.0 ** np.ceil(np.log2(used)))
        mean = levels / np.float32(255)
        noise = draw_poisson(np.asarray(mean * quanta, np.float32), rng) / quanta - mean
        return np.clip(image + noise * np.float32(scale), 0, 1, dtype=np.float32)


@dataclass(frozen=True, config=STRICT)
class Jpeg:
    """Encode as JPEG and decode; ``quality`` 1..100, drawn as a real number and truncated to an integer."""

    quality: QualityRange = (60.0, 100.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        pixels = cv2.cvtColor(to_levels(image), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(*self.quality))])
        if not done:
            raise ValueError(f"an image of shape {image.shape} cannot be encoded as JPEG")
        return to_float(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8))


def to_gray(image: FloatImage) -> FloatImage:
    """Luma in all three channels."""
    return np.repeat((image @ LUMA)[..., None], 3, axis=2)


def adjust_brightness(image: FloatImage, factor: float) -> FloatImage:
    """``factor`` x, clipped to [0, 1]."""
    return clip(image * np.float32(factor))


def adjust_contrast(image: FloatImage, factor: float) -> FloatImage:
    """``factor`` x + (1 - ``factor``) m, m the mean gray of the whole image; clipped."""
    mean = float(np.dot(_JITTER_LUMA, cv2.mean(image)[:3]))
    return clip(image * np.float32(factor) + np.float32((1 - factor) * mean))


def adjust_saturation(image: FloatImage, factor: float) -> FloatImage:
    """``factor`` x + (1 - ``factor``) gray(x), clipped; 0 makes gray."""
    mix: NDArray[np.float64] = factor * np.eye(3) + (1 - factor) * _JITTER_LUMA[None, :]
    return clip(np.asarray(cv2.transform(image, mix.astype(np.float32)), np.float32))


def adjust_hue(image: FloatImage, turn: float) -> FloatImage:
    """Rotate the hue of HSV by ``turn`` of the whole circle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    # Hues above 360 degrees count from 0 again; negative ones are avoided.
    rotated = _add(np.asarray(hsv, np.float32), np.array([360 * (turn % 1), 0.0, 0.0]))
    return clip(np.asarray(cv2.cvtColor(rotated, cv2.COLOR_HSV2RGB), np.float32))


def draw_poisson(mean: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Draw Poisson counts; above a mean of 16 from a normal number corrected for the skew and rounded, which is faster.

    Cornish and Fisher's expansion, mean + sqrt(mean) z + (z^2 - 1) / 6 (doi 10.2307/1400905).
    """
    z = rng.standard_normal(mean.shape, dtype=np.float32)
    counts = np.rint(mean + np.sqrt(mean) * z + (z * z - 1) / np.float32(6))
    few = mean < 16
    counts[few] = rng.poisson(mean[few])
    return np.asarray(counts, np.float32)


def to_levels(image: FloatImage) -> NDArray[np.uint8]:
    """[0, 1] -> 0 .. 255, clipped and rounded half to even, in one pass."""
    return np.asarray(cv2.convertScaleAbs(np.clip(image, 0, 1), alpha=255), np.uint8)


def quantize(image: FloatImage) -> FloatImage:
    """Clip to [0, 1] and round to 255ths."""
    return to_float(to_levels(image))


def clip(image: FloatImage) -> FloatImage:
    """Clip to [0, 1], in place."""
    return np.clip(image, 0, 1, out=image)


def _add(image: FloatImage, numbers: NDArray[np.floating]) -> FloatImage:
    """Add a number to each channel; several times as fast as NumPy's broadcasting over so short an axis."""
    return np.asarray(cv2.add(image, np.append(numbers, 0.0)), np.float32)
