"""Steps that change the size, and the one that blurs and shrinks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.blur import Blur, Blurring, MixedBlur
from revisage.training.data.degradations.filtering import blurred_at
from revisage.training.data.degradations.step import STRICT, Range, Step
from revisage.types import FloatImage

METHODS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True, config=STRICT)
class Shrink:
    """Divide both sides by a factor from ``factor`` (below 1 enlarges); bilinear, no antialias, sides rounded down."""

    factor: Range = (0.8, 8.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        size = self.size(image.shape[0], image.shape[1], rng)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.float32)

    def size(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a factor -> (width, height) after the step."""
        factor = rng.uniform(*self.factor)
        return max(int(width // factor), 1), max(int(height // factor), 1)


@dataclass(frozen=True, config=STRICT)
class Resize:
    """Enlarge, shrink or keep, by area, bilinearly or bicubically (Wang et al. 2021, arXiv 2107.10833).

    Attributes:
        modes: how often the picture is enlarged, shrunk and kept, relative to each other.
        scale: lowest and highest factor of both sides; the one is for shrinking, the other for enlarging, 1 between.
    """

    modes: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (
        0.2, 0.7, 0.1,
    )  # fmt: skip
    scale: Range = (0.15, 1.5)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        return self.relative_to(image, (image.shape[1], image.shape[0]), rng)

    def relative_to(self, image: FloatImage, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
        """The same with factors of another (width, height) than the picture's own."""
        weights = np.array(self.modes)
        mode = int(rng.choice(3, p=weights / weights.sum()))
        scale = (rng.uniform(1, self.scale[1]), rng.uniform(self.scale[0], 1), 1.0)[mode]
        width, height = (max(int(side * scale), 1) for side in size)
        return resized(image, (width, height), rng)


@plain_dataclass(frozen=True)
class BlurredShrink:
    """A blur followed by a shrink in a fraction of their time: the same draws, and very nearly the same picture."""

    blur: Blurring
    shrink: Shrink

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply both."""
        kernel = self.blur.kernel(rng)
        return blurred_at(image, kernel, self.shrink.size(image.shape[0], image.shape[1], rng))


def fused(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps, each blur that a shrink follows made one with it."""
    done: list[Step] = []
    for step in steps:
        before = done[-1] if done else None
        if isinstance(step, Shrink) and isinstance(before, Blur | MixedBlur):
            done[-1] = BlurredShrink(before, step)
        else:
            done.append(step)
    return tuple(done)


def resized(image: FloatImage, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """To (width, height) by one of ``METHODS``, within [0, 1]."""
    method = METHODS[int(rng.integers(len(METHODS)))]
    result = np.asarray(cv2.resize(image, size, interpolation=method), np.float32)
    return np.clip(result, 0, 1, out=result) if method == cv2.INTER_CUBIC else result
