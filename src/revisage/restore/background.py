"""Whether the background of a photo needs a network: estimates of its noise, blur and blocking."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from revisage.images.pixels import by_rows, to_float
from revisage.restore.upscale import Upscale, lanczos
from revisage.types import Array, FloatImage, Image

NOISY = 2.0
"""Noise, in levels of 255, from which a photo needs a network."""
BLURRED = 0.67
"""Sharpness below which it does."""
BLOCKED = 0.8
"""Height of the steps between blocks of 8 pixels, in levels of 255, from which it does, too."""
EDGE = 8.0
"""Height of a step along a whole line from which it is an edge of the photo: blocks of no quality have it."""
MAX_SIDE = 1024
"""Of a larger photo the middle is looked at."""
BLOCK = 16
"""Side of the squares in which noise is measured, in pixels."""


@dataclass(frozen=True)
class AutoUpscaler:
    """A background upscaler that leaves good photos to Lanczos. Stateless.

    Attributes:
        repair: the upscaler of photos that are worse than their pixels could show.
    """

    repair: Upscale

    def choose(self, image: Image) -> Upscale:
        """The upscaler for a photo, (H, W, 3) of any allowed dtype."""
        return self.repair if needs_repair(image) else lanczos

    def __call__(self, image: Image, scale: float) -> Image:
        """Enlarge; see ``Upscale``."""
        return self.choose(image)(image, scale)


def needs_repair(image: Image) -> bool:
    """Whether a photo, (H, W, 3) RGB of any allowed dtype, is noisy, blurred or compressed too much."""
    luma = _middle_luma(image)
    is_poor = estimate_noise(luma) > NOISY or estimate_sharpness(luma) < BLURRED
    return is_poor or estimate_blocking(luma) > BLOCKED


def estimate_noise(luma: FloatImage) -> float:
    """Standard deviation of noise, in levels of 255, where the image is smoothest.

    The image is filtered by the difference of two Laplacians, which sees neither slopes nor edges (Immerkær 1996,
    doi 10.1006/cviu.1996.0060). Of all squares the tenth part with the least response counts. Flat squares, such as
    overexposed skies, count as free of noise only if nearly all are.

    Args:
        luma: (H, W) float32 in [0, 1].
    """
    if min(luma.shape) < 2 * BLOCK:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # of noise it keeps the deviation
    power = cv2.blur(cv2.filter2D(luma, -1, kernel) ** 2, (BLOCK, BLOCK))[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK]
    deviations = np.sqrt(np.maximum(power, 0)).ravel()
    textured = deviations[deviations > 0.25 / 255]
    if len(textured) < 0.1 * len(deviations):
        return 0.0
    return float(np.quantile(textured, 0.1)) * 255


def estimate_sharpness(luma: FloatImage) -> float:
    """Contrast of the sharpest edges in the finest octave over that in the next; about 1 for a sharp photo.

    An image without edges counts as sharp: there is nothing to repair.

    Args:
        luma: (H, W) float32 in [0, 1].
    """
    fine = cv2.GaussianBlur(luma, (0, 0), 0.7)
    middle = cv2.GaussianBlur(luma, (0, 0), 1.4)
    coarse = cv2.GaussianBlur(luma, (0, 0), 2.8)
    first, second = (float(np.quantile(np.abs(band), 0.995)) for band in (fine - middle, middle - coarse))
    return first / second if second > 4 / 255 else 1.0


def estimate_blocking(luma: FloatImage) -> float:
    """Height of the steps at the borders of JPEG's blocks, in levels of 255, beyond the steps beside them.

    The median along each line of pixels counts, so that edges of the photo itself do not; of the eight places that the
    grid may have the one with the highest steps; of both directions the lower one.

    Args:
        luma: (H, W) float32 in [0, 1].
    """
    if min(luma.shape) < 8 * BLOCK:
        return 0.0
    return 255 * min(_step_of_blocks(luma), _step_of_blocks(luma.T))


def _step_of_blocks(luma: FloatImage) -> float:
    steps = np.abs(np.diff(luma, axis=1))
    beyond = np.median(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2, axis=0)
    beyond[beyond > EDGE / 255] = 0
    by_place = np.sort(beyond[: len(beyond) // 8 * 8].reshape(-1, 8).mean(axis=0))
    return float(by_place[-1] - np.median(by_place[:-1]))


def _middle_luma(image: Image) -> FloatImage:
    """(H, W) float32 in [0, 1] of the middle of a photo."""
    tops = [max(0, (length - MAX_SIDE) // 2) for length in image.shape[:2]]
    part: Array = image[tops[0] : tops[0] + MAX_SIDE, tops[1] : tops[1] + MAX_SIDE]
    return np.asarray(cv2.cvtColor(to_float(part), cv2.COLOR_RGB2GRAY), np.float32)


def mix(plain: Image, repaired: Image, strength: float) -> Image:
    """``plain`` with a share of what was repaired; written into ``repaired``."""

    def blend(first: FloatImage, second: FloatImage) -> FloatImage:
        return np.asarray(first + np.float32(strength) * (second - first), np.float32)

    return by_rows(blend, plain, repaired, result=repaired)


def without_color(image: Image) -> Image:
    """A gray photo of which a network made one with traces of color, gray again, in place."""

    def average(rows: FloatImage) -> FloatImage:
        return np.repeat(rows.mean(axis=2, keepdims=True, dtype=np.float32), 3, axis=2)

    return by_rows(average, image, result=image)
