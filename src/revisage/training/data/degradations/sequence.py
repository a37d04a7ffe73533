"""How good pictures become bad ones, for training: a list of steps, and the degraded picture at its old size again.

:class:`FFHQDegradation` is the order of GFP-GAN's FFHQDegradationDataset (Wang et al. 2021, arXiv 2101.04061, equation
12): blur, shrink, noise, JPEG, enlarge back, with optional gray. Any other list of steps can stand in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from revisage.images.pixels import to_float
from revisage.training.data.degradations.blur import Blur
from revisage.training.data.degradations.colour import to_gray
from revisage.training.data.degradations.jpeg import Jpeg, levels
from revisage.training.data.degradations.noise import Noise
from revisage.training.data.degradations.resize import Shrink
from revisage.training.data.degradations.step import Degradation, Step
from revisage.types import FloatImage


@dataclass(frozen=True)
class FFHQDegradation:
    """GFP-GAN's degradation without its colour jitter, so that a restorer learns to leave colours alone.

    Attributes:
        steps: applied in order; the result is then enlarged back to the size of the original, bilinearly.
        gray: probability that both the degraded picture and the original become gray.
        both: steps that the original goes through as well, such as looks of old photos that a restorer should leave.
    """

    steps: tuple[Step, ...] = (Blur(), Shrink(), Noise(), Jpeg())
    gray: float = 0.01
    both: tuple[Step, ...] = ()

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3); lq is rounded to the 256 levels that a file would have."""
        if rng.random() < self.gray:
            gt = to_gray(gt)
        for step in self.both:
            gt = step(gt, rng)
        lq = gt
        for step in self.steps:
            lq = step(lq, rng)
        return in_levels(enlarged(lq, gt.shape[0], gt.shape[1])), gt


def enlarged(image: FloatImage, height: int, width: int) -> FloatImage:
    """To the given size, bilinearly."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def in_levels(image: FloatImage) -> FloatImage:
    """Clipped to [0, 1] and rounded to 255ths."""
    return to_float(levels(image))


def one_of(degradations: Sequence[Degradation]) -> Degradation:
    """A degradation that draws one of several for each picture, all equally likely."""

    def degrade(gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        return degradations[int(rng.integers(len(degradations)))](gt, rng)

    return degrade
