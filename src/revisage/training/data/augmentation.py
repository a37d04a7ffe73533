"""What is done to originals before they are degraded, together with the places of eyes and mouth in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.components import Components, mirrored
from revisage.training.data.degradations.colour import Exposure
from revisage.training.data.degradations.step import STRICT, Probability
from revisage.types import FloatImage

Augmentation = Callable[[FloatImage, Components | None, np.random.Generator], tuple[FloatImage, Components | None]]
"""(picture, components or None) -> the same two, changed; neither argument is touched."""


@dataclass(frozen=True, config=STRICT)
class Mirror:
    """Exchange left and right."""

    probability: Probability = 0.5

    def __call__(
        self, image: FloatImage, components: Components | None, rng: np.random.Generator
    ) -> tuple[FloatImage, Components | None]:
        """Apply it."""
        if rng.random() >= self.probability:
            return image, components
        return cv2.flip(image, 1).astype(np.float32, copy=False), (
            None if components is None else mirrored(components, image.shape[1])
        )


@dataclass(frozen=True, config=STRICT)
class Translate:
    """Shift by up to ``reach`` pixels in x and y; what comes in is the picture mirrored at its edge."""

    probability: Probability = 0.2
    reach: Annotated[int, Field(ge=0)] = 32

    def __call__(
        self, image: FloatImage, components: Components | None, rng: np.random.Generator
    ) -> tuple[FloatImage, Components | None]:
        """Apply it."""
        if rng.random() >= self.probability:
            return image, components
        x, y = (int(value) for value in rng.integers(0, 2 * self.reach + 1, 2))
        edge = (self.reach,) * 4
        padded = np.asarray(cv2.copyMakeBorder(image, *edge, borderType=cv2.BORDER_REFLECT), np.float32)
        shifted = np.ascontiguousarray(padded[y : y + image.shape[0], x : x + image.shape[1]])
        return shifted, None if components is None else components + np.array([self.reach - x, self.reach - y, 0])


@dataclass(frozen=True, config=STRICT)
class ExtendedAugmentation:
    """RestoreFormer++'s: mirror, another exposure, shift (Wang et al. 2023, arXiv 2308.07228).

    Attributes:
        mirror, translate: see there.
        exposure: None for none.
    """

    mirror: Mirror = Field(default_factory=Mirror)
    exposure: Exposure | None = Field(default_factory=Exposure)
    translate: Translate = Field(default_factory=Translate)

    def __call__(
        self, image: FloatImage, components: Components | None, rng: np.random.Generator
    ) -> tuple[FloatImage, Components | None]:
        """Apply it."""
        image, components = self.mirror(image, components, rng)
        if self.exposure is not None:
            image = self.exposure(image, rng)
        return self.translate(image, components, rng)
