"""Noise steps."""

from __future__ import annotations

import numpy as np
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.colour import to_gray
from revisage.training.data.degradations.step import STRICT, Probability, Range
from revisage.types import FloatImage


@dataclass(frozen=True, config=STRICT)
class Noise:
    """Gaussian noise; ``sigma`` in levels of 255. Equal in all channels with probability ``gray``, else independent."""

    sigma: Range = (0.0, 20.0)
    gray: Probability = 0.0

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        shape = (*image.shape[:2], 1) if self.gray and rng.random() < self.gray else image.shape
        noise = rng.standard_normal(shape, dtype=np.float32)
        noise *= np.float32(rng.uniform(*self.sigma) / 255)
        noisy = image + noise
        return np.clip(noisy, 0, 1, out=noisy)


@dataclass(frozen=True, config=STRICT)
class PoissonNoise:
    """Shot noise: brighter pixels are noisier (Wang et al. 2021, arXiv 2107.10833).

    A picture of n different levels is counted in 2^ceil(log2 n) quanta; the deviation from the mean is then scaled.

    Attributes:
        scale: of the noise, 1 being that of such a count.
        gray: probability that all channels get the same noise, that of the gray picture.
    """

    scale: Range = (0.05, 3.0)
    gray: Probability = 0.4

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        scale = rng.uniform(*self.scale)
        source = to_gray(image)[..., :1] if rng.random() < self.gray else image
        levels = np.rint(np.clip(source, 0, 1) * 255)
        used = np.count_nonzero(np.bincount(levels.ravel().astype(np.uint8), minlength=256))
        quanta = np.float32(2.0 ** np.ceil(np.log2(used)))
        mean = levels / np.float32(255)
        noise = counted(np.asarray(mean * quanta, np.float32), rng) / quanta - mean
        return np.clip(image + noise * np.float32(scale), 0, 1, dtype=np.float32)


def counted(mean: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Poisson counts; above 16, a normal number corrected for the skew, rounded: far quicker, and as good.

    Cornish and Fisher's expansion, mean + sqrt(mean) z + (z^2 - 1) / 6 (doi 10.2307/1400905).
    """
    z = rng.standard_normal(mean.shape, dtype=np.float32)
    counts = np.rint(mean + np.sqrt(mean) * z + (z * z - 1) / np.float32(6))
    few = mean < 16
    counts[few] = rng.poisson(mean[few])
    return np.asarray(counts, np.float32)
