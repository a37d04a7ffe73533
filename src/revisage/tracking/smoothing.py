"""Temporal smoothing: of the positions of a face, and of its restorations along a track.

Positions: local quadratic regression with tricube weights (Cleveland 1979) over a window of as many frames ahead as
back, so without lag. Even movement, acceleration included, is reproduced exactly; the jitter of the detector is
averaged out.

Restorations: a network responds to the noise of each frame with details of its own, which flicker. In the aligned crop
a face holds still, so that its restorations can be averaged along the track. The weight of a neighbor is decided pixel
by pixel from the *inputs*: full where they agree but for noise, none where the face moved within the crop (a mouth
opening, a blink, a hand passing), so that nothing is smeared over time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.images.pixels import from_float, to_float
from revisage.types import Array, Face, FloatImage

TRACK_RADIUS = 6
"""Frames before and after over which positions are smoothed."""
MIN_FOR_PARABOLA = 5
"""Detections through which a parabola is fitted; through fewer a straight line."""
MIN_DETECTIONS = 3
"""Frames of the window in which a face must have been detected: fewer are false positives."""
JITTER = 0.05
"""Distance between detected and smoothed landmarks, relative to that of the eyes, that is put down to the detector.
Beyond it the head itself turned round within the window, and a shorter window is taken."""
AVERAGE_RADIUS = 4
"""Frames before and after over which restorations are averaged."""
CELLS = 64
"""Size of the thumbnails by which two inputs are compared; a cell averages out most of the noise."""
MIN_TOLERANCE = 4 / 255
"""Difference of a cell that is always tolerated."""
NOISE = 1.5
"""Tolerance in units of the median difference of all cells, which is the noise: most of a face holds still."""
MIN_WEIGHT = 0.02
"""Neighbors of lower weight are left out, to save time."""

Item = TypeVar("Item")
Note = TypeVar("Note")
Detection = tuple[int, float, Face]
"""Distance in frames from the current frame, time in seconds, and the face there."""


def sliding_windows(
    items: Iterable[Item], radius: int, note: Callable[[Item], Note]
) -> Iterator[tuple[Item, list[tuple[int, Note]]]]:
    """Each item of a stream, and for each of its neighbors and itself the distance (negative before it) and a note.

    Items are yielded ``radius`` later than they are taken, and then released; of those before only the notes are kept,
    so that memory is bounded by ``radius`` whatever the length of the stream. At its ends there are fewer neighbors.
    """
    waiting: deque[Item] = deque()
    notes: deque[Note] = deque(maxlen=2 * radius + 1)

    def center() -> tuple[Item, list[tuple[int, Note]]]:
        index = len(notes) - len(waiting)
        return waiting.popleft(), [(at - index, one) for at, one in enumerate(notes)]

    for item in items:
        waiting.append(item)
        notes.append(note(item))
        if len(waiting) > radius:
            yield center()
    while waiting:
        # The deque is full of older notes, or the stream is short: drop those that no longer count.
        while len(notes) - len(waiting) > radius:
            notes.popleft()
        yield center()


def smooth_face(detections: Sequence[Detection], frames: int) -> Face | None:
    """The smoothed face at distance 0, filled in if it was missed there; None if it was not there.

    ``detections`` are of one face, in order, in a window of so many frames.
    """
    distances = [distance for distance, _, _ in detections]
    if len(detections) < min(MIN_DETECTIONS, frames) or not distances[0] <= 0 <= distances[-1]:
        return None
    values = np.array([np.concatenate([face.box, face.landmarks.ravel()]) for _, _, face in detections], np.float64)
    times = np.array([time for _, time, _ in detections])
    fitted = _fit(np.array(distances), times, values)
    score = float(np.mean([face.score for _, _, face in detections]))
    return Face(fitted[:4].astype(np.float32), fitted[4:].reshape(5, 2).astype(np.float32), score)


def _fit(distances: NDArray[np.int64], times: Array, values: Array) -> Array:
    """The values at distance 0, over the widest window in which a parabola describes the movement."""
    here = np.flatnonzero(distances == 0)
    if not len(here):
        return regression(distances, times, values, TRACK_RADIUS)
    own = values[here[0]]
    eyes = float(np.hypot(*(own[6:8] - own[4:6])))
    for radius in range(TRACK_RADIUS, 1, -1):
        fitted = regression(distances, times, values, radius)
        off = np.hypot(*(fitted[4:] - own[4:]).reshape(5, 2).T).mean()
        if off <= JITTER * eyes:
            return fitted
    return own


def regression(distances: Array, times: Array, values: Array, radius: int) -> Array:
    """Fit a weighted parabola to ``values`` (n, m) over increasing ``times`` (n,); evaluate it at distance 0 -> (m,).

    Weights fall with the ``distances`` (n,) in frames, to 0 beyond ``radius``.
    """
    weights = np.clip(1 - (np.abs(distances) / (radius + 1)) ** 3, 0, 1) ** 1.5  # the root: rows are squared below
    within = weights > 0
    degree = 2 if within.sum() >= MIN_FOR_PARABOLA else min(int(within.sum()) - 1, 1)
    now = float(np.interp(0, distances, times))
    relative = (times[within] - now) / max(float(np.ptp(times)), 1e-9)
    rows = weights[within, None]
    coefficients = np.linalg.lstsq(np.vander(relative, degree + 1) * rows, values[within] * rows, rcond=None)[0]
    return coefficients[-1]


@dataclass(frozen=True, slots=True, eq=False)
class RestoredCrop:
    """The aligned crop of a face in one frame, restored.

    Attributes:
        cells: (CELLS, CELLS, 3) float32, the input, reduced.
        crop: (S, S, 3) uint16, the restoration; half the memory of float32, finer than any noise.
    """

    cells: FloatImage
    crop: NDArray[np.uint16]


def reduce_crop(before: FloatImage, after: FloatImage) -> RestoredCrop:
    """Keep of an aligned crop ``before`` and ``after`` restoration, both (S, S, 3) in [0, 1], what averaging needs."""
    cells: Array = cv2.resize(before, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    blurred = np.asarray(cv2.GaussianBlur(cells, (0, 0), 1), np.float32)
    return RestoredCrop(blurred, np.asarray(from_float(after, np.uint16), np.uint16))


def temporal_average(center: RestoredCrop, neighbors: Sequence[tuple[int, RestoredCrop]]) -> FloatImage:
    """Average the restoration of a face with those around it -> (S, S, 3) float32 in [0, 1].

    ``neighbors`` are the same face at a distance in frames, without ``center`` itself.
    """
    size = len(center.crop)
    total = to_float(center.crop)
    weights = np.ones((size, size, 1), np.float32)
    for distance, other in neighbors:
        weight, light = agreement(center.cells, other.cells)
        weight *= (1 - (abs(distance) / (AVERAGE_RADIUS + 1)) ** 3) ** 3
        if weight.max() < MIN_WEIGHT:
            continue
        alpha: Array = cv2.resize(weight, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
        total += alpha * (to_float(other.crop) + light)
        weights += alpha
    return np.clip(total / weights, 0, 1)


def agreement(here: FloatImage, there: FloatImage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far two inputs agree: weights (CELLS, CELLS) in [0, 1]; (3,) the change of light to add to ``there``."""
    light = np.median(here - there, axis=(0, 1)).astype(np.float32)
    difference = np.abs(here - there - light).max(axis=2)
    tolerance = MIN_TOLERANCE + NOISE * float(np.median(difference))
    return np.exp(-0.5 * (difference / tolerance) ** 2).astype(np.float32), light
