"""JPEG compression as a step."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from revisage.images.pixels import to_float
from revisage.training.data.degradations.step import STRICT, Range
from revisage.types import FloatImage


@dataclass(frozen=True, config=STRICT)
class Jpeg:
    """Through a JPEG encoder and back; ``quality`` 1..100, drawn as a real number and cut to an integer."""

    quality: Range = (60.0, 100.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        pixels = cv2.cvtColor(levels(image), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(*self.quality))])
        if not done:
            raise ValueError(f"no JPEG of a picture of shape {image.shape}")
        return to_float(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8))


def levels(image: FloatImage) -> NDArray[np.uint8]:
    """[0, 1] -> 0 .. 255, clipped and rounded half to even, in one pass."""
    return np.asarray(cv2.convertScaleAbs(np.clip(image, 0, 1), alpha=255), np.uint8)
