"""Where the face itself lies in an aligned crop: an oval from chin to hairline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CENTRE, AXES = (256 / 512, 290 / 512), (120 / 512, 170 / 512)
"""Middle and half axes of the oval in the alignment template, as shares of the crop: x, y."""


def squared_distance(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """How far points lie from the middle of the face: 0 there, 1 on its oval.

    Args:
        points: (..., 2) in pixels of an aligned crop.
        size: side of the crop.

    Returns:
        (...) squares of the distances.
    """
    return ((((points + 0.5) / size - CENTRE) / AXES) ** 2).sum(axis=-1)
