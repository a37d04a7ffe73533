"""The same face, restored anew in every frame, made steady.

A network answers the noise of each frame with details of its own, and these flicker. In the aligned position a face
holds still, so that its restorations can be averaged along the track. How much a neighbour counts is decided place by
place from the *inputs*: where they agree but for noise it counts fully, where the face moved within the crop (a mouth
opening, a blink, a hand passing) it does not, so that nothing is smeared over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.images.pixels import from_float, to_float
from revisage.types import Array, FloatImage

RADIUS = 4
"""Frames before and after that are averaged."""
CELLS = 64
"""Side of the small picture by which two inputs are compared; a cell of it averages out most of the noise."""
SAME = 4 / 255
"""Difference of a cell that says nothing, whatever the noise."""
NOISE = 1.5
"""The same in terms of the median difference of all cells, which is the noise: most of a face holds still."""
NEGLIGIBLE = 0.02
"""Weights below this are not worth the time."""


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A face as it was restored in one frame.

    Attributes:
        cells: (CELLS, CELLS, 3) float32, the input, reduced.
        crop: (S, S, 3) uint16, the restoration; half the memory of float32, finer than any noise.
    """

    cells: FloatImage
    crop: NDArray[np.uint16]


def remembered(before: FloatImage, after: FloatImage) -> Restored:
    """What to keep of an aligned face ``before`` and ``after`` restoration, both (S, S, 3) in [0, 1]."""
    cells: Array = cv2.resize(before, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    smooth = np.asarray(cv2.GaussianBlur(cells, (0, 0), 1), np.float32)
    return Restored(smooth, np.asarray(from_float(after, np.uint16), np.uint16))


def stabilised(centre: Restored, neighbours: Sequence[tuple[int, Restored]]) -> FloatImage:
    """The restoration of a face, averaged with those of the frames around.

    Args:
        centre: the face in the frame in question.
        neighbours: distance in frames and the same face there; ``centre`` itself is not among them.

    Returns:
        (S, S, 3) float32 in [0, 1].
    """
    size = len(centre.crop)
    total = to_float(centre.crop)
    weights = np.ones((size, size, 1), np.float32)
    for distance, other in neighbours:
        weight, light = agreement(centre.cells, other.cells)
        weight *= (1 - (abs(distance) / (RADIUS + 1)) ** 3) ** 3
        if weight.max() < NEGLIGIBLE:
            continue
        share: Array = cv2.resize(weight, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
        total += share * (to_float(other.crop) + light)
        weights += share
    return np.clip(total / weights, 0, 1)


def agreement(here: FloatImage, there: FloatImage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far two inputs show the same, by cells.

    Returns:
        weights (CELLS, CELLS) in [0, 1], and (3,) what ``there`` has to be given to be in the light of ``here``.
    """
    light = np.median(here - there, axis=(0, 1)).astype(np.float32)
    difference = np.abs(here - there - light).max(axis=2)
    tolerance = SAME + NOISE * float(np.median(difference))
    return np.exp(-0.5 * (difference / tolerance) ** 2).astype(np.float32), light
