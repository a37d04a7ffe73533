"""How much a film flickers: what changes from frame to frame though it should not."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from revisage.types import Array

RGB8 = NDArray[np.uint8]


def flicker(clip: Iterable[RGB8], truth: Iterable[RGB8] | None = None) -> float:
    """Change between successive frames, beyond that of the truth, in 8-bit levels (root mean square).

    With y the clip and x the truth, both moved so that the face holds still::

        sqrt(mean over t, pixels and channels of ((y[t] - y[t-1]) - (x[t] - x[t-1]))^2)

    This is the warping error of Lai et al. 2018 (Learning Blind Video Temporal Consistency) with the movement known
    rather than estimated, less what changes in truth: light, expression, and what moving costs in sharpness. White
    noise of standard deviation s, drawn anew in every frame, measures sqrt(2) s. What is wrong in every frame alike
    measures nothing: this figure says how steady a film is, not how good.

    Args:
        clip: (H, W, 3) frames, in which the face holds still: cut out along the known or the tracked movement.
        truth: the same frames of the clip without degradation; None where there is none, for a face that holds still
            in constant light. Any number of frames is taken in turn; none are kept.

    Raises:
        ValueError: there are fewer than two frames, or the two differ in number or shape.
    """
    stream: Iterable[RGB8 | int] = repeat(0) if truth is None else truth
    total, values = 0.0, 0
    pairs = zip(clip, stream, strict=truth is not None)
    errors: Iterable[Array] = (np.subtract(y, x, dtype=np.float32) for y, x in pairs)
    for before, after in pairwise(errors):
        if before.shape != after.shape:
            raise ValueError(f"frames of {before.shape} and {after.shape} cannot be compared")
        total += float(np.square(after - before, dtype=np.float64).sum())
        values += after.size
    if not values:
        raise ValueError("flicker needs at least two frames")
    return float(np.sqrt(total / values))
