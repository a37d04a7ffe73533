"""How good pictures become bad ones, for training.

A degradation is a list of steps, each ``step(image, rng) -> image`` on (H, W, 3) float32 RGB in [0, 1]; a step may
change the size. :class:`FFHQDegradation` is the order of GFP-GAN's FFHQDegradationDataset: blur, shrink, noise, JPEG,
enlarge back (Wang et al. 2021, arXiv 2101.04061, equation 12), with optional gray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from revisage.data import kernels
from revisage.types import FloatImage

Step = Callable[[FloatImage, np.random.Generator], FloatImage]
Degradation = Callable[[FloatImage, np.random.Generator], tuple[FloatImage, FloatImage]]
"""Original -> (lq, gt)."""
Range = tuple[float, float]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G, B in gray (ITU-R BT.601)."""


@dataclass(frozen=True)
class Blur:
    """Gaussian blur; isotropic with probability ``isotropic``, else of any direction. Sigmas in pixels."""

    sigma: Range = (0.1, 10.0)
    isotropic: float = 0.5
    size: int = 41

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        if rng.random() < self.isotropic:
            return kernels.blur(image, self.size, rng.uniform(*self.sigma))
        sigma_x, sigma_y = rng.uniform(*self.sigma, size=2)
        return kernels.blur(image, self.size, sigma_x, sigma_y, rng.uniform(-np.pi, np.pi))


@dataclass(frozen=True)
class Shrink:
    """Divide both sides by a factor from ``factor`` (below 1 enlarges); bilinear, no antialias, sides rounded down."""

    factor: Range = (0.8, 8.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        factor = rng.uniform(*self.factor)
        height, width = image.shape[:2]
        size = max(int(width // factor), 1), max(int(height // factor), 1)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.float32)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, independent in each channel; ``sigma`` in levels of 255."""

    sigma: Range = (0.0, 20.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        return np.clip(image + noise * np.float32(rng.uniform(*self.sigma) / 255), 0, 1, dtype=np.float32)


@dataclass(frozen=True)
class Jpeg:
    """Through a JPEG encoder and back; ``quality`` 1..100, drawn as a real number and cut to an integer."""

    quality: Range = (60.0, 100.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        levels = np.rint(np.clip(image, 0, 1)[..., ::-1] * 255).astype(np.uint8)
        done, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(*self.quality))])
        if not done:
            raise ValueError(f"no JPEG of a picture of shape {image.shape}")
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        return np.asarray(decoded, np.float32) / np.float32(255)


def to_gray(image: FloatImage) -> FloatImage:
    """Luma in all three channels."""
    return np.repeat((image @ LUMA)[..., None], 3, axis=2)


@dataclass(frozen=True)
class FFHQDegradation:
    """GFP-GAN's degradation without its colour jitter, so that a restorer learns to leave colours alone.

    Attributes:
        steps: applied in order; the result is then enlarged back to the size of the original, bilinearly.
        gray: probability that both the degraded picture and the original become gray.
    """

    steps: tuple[Step, ...] = (Blur(), Shrink(), Noise(), Jpeg())
    gray: float = 0.01

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3); lq is rounded to the 256 levels that a file would have."""
        if rng.random() < self.gray:
            gt = to_gray(gt)
        lq = gt
        for step in self.steps:
            lq = step(lq, rng)
        height, width = gt.shape[:2]
        lq = np.asarray(cv2.resize(lq, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        return np.rint(np.clip(lq, 0, 1) * 255).astype(np.float32) / np.float32(255), gt


def one_of(degradations: Sequence[Degradation]) -> Degradation:
    """A degradation that draws one of several for each picture, all equally likely."""

    def degrade(gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        return degradations[int(rng.integers(len(degradations)))](gt, rng)

    return degrade
