"""The second-order degradation of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833): two rounds, then ringing."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.blur import KernelKind, MixedBlur
from revisage.training.data.degradations.jpeg import Jpeg
from revisage.training.data.degradations.noise import Noise, PoissonNoise
from revisage.training.data.degradations.resize import Resize, resized
from revisage.training.data.degradations.step import STRICT, Probability
from revisage.types import FloatImage

KINDS: dict[KernelKind, float] = {
    "iso": 0.405, "aniso": 0.225, "generalized_iso": 0.108, "generalized_aniso": 0.027,
    "plateau_iso": 0.108, "plateau_aniso": 0.027, "sinc": 0.1,
}  # fmt: skip
"""Shares of the paper: sinc one in ten, the others as 45 : 25 : 12 : 3 : 12 : 3."""


@dataclass(frozen=True, config=STRICT)
class Round:
    """Blur, resize, noise, JPEG.

    Attributes:
        blur, blur_prob: the blur, and how often there is one.
        resize: up, down or not at all.
        gaussian, poisson, gaussian_prob: the two kinds of noise, and how often it is the first.
        jpeg: compression at the end of the round.
    """

    blur: MixedBlur = Field(
        default_factory=lambda: MixedBlur(KINDS, (7, 21), (0.2, 3.0), (0.5, 4.0), (1.0, 2.0), (np.pi / 3, np.pi))
    )
    blur_prob: Probability = 1.0
    resize: Resize = Field(default_factory=lambda: Resize((0.2, 0.7, 0.1), (0.15, 1.5)))
    gaussian: Noise = Field(default_factory=lambda: Noise((1.0, 30.0), gray=0.4))
    poisson: PoissonNoise = Field(default_factory=lambda: PoissonNoise((0.05, 3.0), gray=0.4))
    gaussian_prob: Probability = 0.5
    jpeg: Jpeg = Field(default_factory=lambda: Jpeg((30.0, 95.0)))

    def worn(self, image: FloatImage, rng: np.random.Generator, size: tuple[int, int] | None = None) -> FloatImage:
        """All but the JPEG; factors of the resize refer to ``size`` (width, height), or else to the picture's own."""
        if rng.random() < self.blur_prob:
            image = self.blur(image, rng)
        image = self.resize.relative_to(image, size or (image.shape[1], image.shape[0]), rng)
        noise = self.gaussian if rng.random() < self.gaussian_prob else self.poisson
        return noise(image, rng)


def _second() -> Round:
    return Round(
        blur=MixedBlur(KINDS, (7, 21), (0.2, 1.5), (0.5, 4.0), (1.0, 2.0), (np.pi / 3, np.pi)),
        blur_prob=0.8,
        resize=Resize((0.3, 0.4, 0.3), (0.3, 1.2)),
        gaussian=Noise((1.0, 25.0), gray=0.4),
        poisson=PoissonNoise((0.05, 2.5), gray=0.4),
    )


@dataclass(frozen=True, config=STRICT)
class SecondOrder:
    """Two rounds; the second ends at 1 / ``scale`` of the original size, with a sinc filter before or after its JPEG.

    Attributes:
        first, second: the rounds; factors of the second's resize refer to the final size.
        scale: by how much the result is smaller than the original.
        ringing: the sinc filter.
        ringing_prob: how often there is one.
    """

    first: Round = Field(default_factory=Round)
    second: Round = Field(default_factory=_second)
    scale: Annotated[float, Field(gt=0)] = 4.0
    ringing: MixedBlur = Field(default_factory=lambda: MixedBlur({"sinc": 1.0}, (7, 21)))
    ringing_prob: Probability = 0.8

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step: (H, W, 3) -> (H / scale, W / scale, 3)."""
        height, width = (max(int(side / self.scale), 1) for side in image.shape[:2])
        image = self.first.jpeg(self.first.worn(image, rng), rng)
        image = self.second.worn(image, rng, (width, height))
        if rng.random() < 0.5:
            return self.second.jpeg(self._finished(image, (width, height), rng), rng)
        return self._finished(self.second.jpeg(image, rng), (width, height), rng)

    def _finished(self, image: FloatImage, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
        image = resized(image, size, rng)
        if rng.random() >= self.ringing_prob:
            return image
        return np.clip(cv2.filter2D(image, -1, self.ringing.kernel(rng)), 0, 1).astype(np.float32)
