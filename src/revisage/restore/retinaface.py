"""RetinaFace's anchors and decoding in numpy (Deng et al. 2020, arXiv 1905.00641)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from revisage.types import Array

STEPS = (8, 16, 32)
"""Pixels between the anchors of each level."""
SIZES = ((16, 32), (64, 128), (256, 512))
"""Sides of the two anchors at each position of a level, in pixels."""
VARIANCE = (0.1, 0.2)
"""Offsets of points and logarithms of sizes are divided by these (SSD, Liu et al. 2016, arXiv 1512.02325)."""


@dataclass(frozen=True)
class RetinaFaceProposals:
    """The network as a ``propose`` function of :mod:`revisage.restore.detect`.

    Attributes:
        network: (N, 3, H, W) float32 RGB in 0..255 -> box offsets (N, A, 4), scores (N, A, 2), landmark offsets
            (N, A, 10).
    """

    network: Callable[[NDArray[np.float32]], tuple[Array, ...]]

    def __call__(self, images: NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        """(N, H, W, 3) uint8 -> boxes (N, A, 4), scores (N, A), landmarks (N, A, 5, 2), in pixels."""
        batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
        offsets, scores, landmark_offsets = self.network(batch)
        boxes, landmarks = decode(offsets, landmark_offsets, anchors(*images.shape[1:3]))
        return boxes, scores[..., 1], landmarks


@lru_cache(maxsize=4)
def anchors(height: int, width: int) -> NDArray[np.float32]:
    """All anchors of an image: (A, 4) center x, y, width, height in pixels; shared and read only."""
    levels: list[Array] = []
    for step, sizes in zip(STEPS, SIZES, strict=True):
        rows, columns = -(-height // step), -(-width // step)
        y, x, size = np.meshgrid(np.arange(rows), np.arange(columns), sizes, indexing="ij")
        levels.append(np.stack([(x + 0.5) * step, (y + 0.5) * step, size, size], axis=-1).reshape(-1, 4))
    all_levels = np.concatenate(levels).astype(np.float32)
    all_levels.setflags(write=False)
    return all_levels


def decode(boxes: Array, landmarks: Array, priors: Array) -> tuple[Array, Array]:
    """Offsets (..., A, 4), (..., A, 10) -> (..., A, 4) x1, y1, x2, y2 and (..., A, 5, 2) x, y of five points, float32.

    Offsets of boxes are of the center and the logarithm of the size. The units are those of ``priors``, (A, 4) anchors,
    center and size.
    """
    centers = priors[:, :2] + boxes[..., :2] * np.float32(VARIANCE[0]) * priors[:, 2:]
    half = priors[:, 2:] * np.exp(boxes[..., 2:] * np.float32(VARIANCE[1])) / 2
    offsets = landmarks.reshape(*landmarks.shape[:-1], 5, 2)
    points = offsets * np.float32(VARIANCE[0]) * priors[:, None, 2:] + priors[:, None, :2]
    return np.concatenate([centers - half, centers + half], axis=-1), points
