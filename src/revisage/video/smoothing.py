"""Where a face really was: positions that tremble from frame to frame, smoothed without lag.

Local quadratic regression with tricube weights (Cleveland 1979) over a window that reaches as far ahead as back. What
moves evenly, or speeds up and slows down evenly, comes out as it went in, however fast; the detector's trembling, which
differs from frame to frame, is evened out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from revisage.types import Array, Face

RADIUS = 6
"""Frames before and after that have a say."""
ENOUGH = 5
"""Sightings from which a parabola is laid through them; through fewer a straight line."""
NEEDED = 3
"""Frames of the window in which a face must have been found: what is seen once is no face."""
TREMBLING = 0.05
"""Distance between a face as detected and as smoothed, as a share of the distance between its eyes, that is put down to
the detector. Beyond it the face itself turned round within the window, and a shorter window is taken."""

Sighting = tuple[int, float, Face]
"""Distance in frames from the frame in question, time in seconds, and the face there."""


def smoothed(sightings: Sequence[Sighting], frames: int) -> Face | None:
    """The face at distance 0, or None if it was not there.

    A face that was missed there but found before and after is filled in.

    Args:
        sightings: of one face in the window, in order.
        frames: how many frames the window has.

    Returns:
        Box, landmarks and score, smoothed.
    """
    distances = [distance for distance, _, _ in sightings]
    if len(sightings) < min(NEEDED, frames) or not distances[0] <= 0 <= distances[-1]:
        return None
    values = np.array([np.concatenate([face.box, face.landmarks.ravel()]) for _, _, face in sightings], np.float64)
    times = np.array([time for _, time, _ in sightings])
    fitted = _fitted(np.array(distances), times, values)
    score = float(np.mean([face.score for _, _, face in sightings]))
    return Face(fitted[:4].astype(np.float32), fitted[4:].reshape(5, 2).astype(np.float32), score)


def _fitted(distances: NDArray[np.int64], times: Array, values: Array) -> Array:
    """The values at distance 0, over the widest window in which a parabola describes the movement."""
    here = np.flatnonzero(distances == 0)
    if not len(here):
        return regression(distances, times, values, RADIUS)
    own = values[here[0]]
    eyes = float(np.hypot(*(own[6:8] - own[4:6])))
    for radius in range(RADIUS, 1, -1):
        fitted = regression(distances, times, values, radius)
        off = np.hypot(*(fitted[4:] - own[4:]).reshape(5, 2).T).mean()
        if off <= TREMBLING * eyes:
            return fitted
    return own


def regression(distances: Array, times: Array, values: Array, radius: int) -> Array:
    """A weighted parabola through ``values`` (n, m) over ``times`` (n,), taken at distance 0 -> (m,).

    Args:
        distances: (n,) in frames; weights fall with them, to 0 beyond ``radius``.
        times: (n,) in seconds, increasing.
        values: (n, m).
        radius: of the window.
    """
    weights = np.clip(1 - (np.abs(distances) / (radius + 1)) ** 3, 0, 1) ** 1.5  # the root: rows are squared below
    within = weights > 0
    degree = 2 if within.sum() >= ENOUGH else min(int(within.sum()) - 1, 1)
    now = float(np.interp(0, distances, times))
    ago = (times[within] - now) / max(float(np.ptp(times)), 1e-9)
    rows = weights[within, None]
    coefficients = np.linalg.lstsq(np.vander(ago, degree + 1) * rows, values[within] * rows, rcond=None)[0]
    return coefficients[-1]
