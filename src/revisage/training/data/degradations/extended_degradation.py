"""RestoreFormer++'s extending degrading model (Wang et al. 2023, arXiv 2308.07228): haze, and damage in one part."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.blur import MixedBlur
from revisage.training.data.degradations.colour import Haze, to_gray
from revisage.training.data.degradations.jpeg import Jpeg
from revisage.training.data.degradations.noise import Noise
from revisage.training.data.degradations.resize import BlurredShrink, Shrink
from revisage.training.data.degradations.sequence import enlarged, in_levels
from revisage.training.data.degradations.step import STRICT, Probability, Range
from revisage.types import FloatImage


@dataclass(frozen=True, config=STRICT)
class UnevenDegradation:
    """Blur, haze, shrink, noise, JPEG, enlarge; at times a square of the picture is degraded apart from the rest.

    What the same paper does to the original too, exposure and shift, is in :mod:`revisage.training.data.augmentation`.

    Attributes:
        blur, shrink, noise, jpeg: the steps of a branch. Kernels have 39 or 41 pixels.
        haze, haze_prob: a veil of white after the blur, and how often there is one.
        uneven_prob: how often a square goes another way than the rest.
        square: smallest and largest side of it, as a share of the picture's (128 to 256 of 512 pixels).
        gray_prob: how often both pictures become gray.
    """

    blur: MixedBlur = Field(default_factory=lambda: MixedBlur(size=(39, 41)))
    haze: Haze = Field(default_factory=Haze)
    haze_prob: Probability = 0.008
    shrink: Shrink = Field(default_factory=Shrink)
    noise: Noise = Field(default_factory=Noise)
    jpeg: Jpeg = Field(default_factory=Jpeg)
    uneven_prob: Probability = 0.1
    square: Range = (0.25, 0.5)
    gray_prob: Probability = 0.008

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3)."""
        lq = self._branch(gt, rng)
        if rng.random() < self.uneven_prob:
            side = round(min(gt.shape[:2]) * rng.uniform(*self.square))
            top, left = (int(rng.integers(0, length - side + 1)) for length in gt.shape[:2])
            lq[top : top + side, left : left + side] = self._branch(gt, rng)[top : top + side, left : left + side]
        if rng.random() < self.gray_prob:
            lq, gt = to_gray(lq), to_gray(gt)
        return in_levels(lq), gt

    def _branch(self, gt: FloatImage, rng: np.random.Generator) -> FloatImage:
        lq = self._small(gt, rng)
        # Haze mixes with a constant, so it may as well come after the shrink, which leaves constants alone.
        if rng.random() < self.haze_prob:
            lq = self.haze(lq, rng)
        lq = self.jpeg(self.noise(lq, rng), rng)
        return enlarged(lq, gt.shape[0], gt.shape[1])

    @cached_property
    def _small(self) -> BlurredShrink:
        return BlurredShrink(self.blur, self.shrink)
