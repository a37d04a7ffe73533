"""LossInputs side by side, to look at."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from revisage.evaluation.metrics.image import RGB8
from revisage.images.pixels import from_float, from_tensor


def image_grid(*rows: Tensor) -> RGB8:
    """Batches (N, 3, S, S) in [-1, 1], all of the same shape -> (rows * S, N * S, 3) uint8 RGB."""
    lines = [np.hstack([np.asarray(from_float(picture, np.uint8)) for picture in from_tensor(row)]) for row in rows]
    return np.asarray(np.vstack(lines), np.uint8)
