"""Landmark distance: how far eyes, nose and mouth have moved between two aligned crops of one face."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from revisage.evaluation.metrics.image import RGB8

FindLandmarks: TypeAlias = Callable[[RGB8], NDArray[np.floating] | None]
"""Aligned crop (S, S, 3) -> (5, 2) points in its pixels, or None if no face was found."""


def landmark_distance(a: NDArray[np.floating] | None, b: NDArray[np.floating] | None, side: int) -> float:
    """Mean distance of points.

    Args:
        a: (K, 2) points, or None.
        b: likewise, in the same order.
        side: of the aligned crops in pixels.

    Returns:
        Pixels of a crop of 512; nan if one of them is None.
    """
    if a is None or b is None:
        return math.nan
    return float(np.linalg.norm(a - b, axis=1).mean() * 512 / side)
