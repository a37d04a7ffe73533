"""Metrics of faces: who they are (embeddings, verification) and where they are (landmarks, detections). NumPy only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from revisage.boxes import iou
from revisage.evaluation.metrics.image import RGB8
from revisage.types import Face, Image

Floats = NDArray[np.floating]
FindLandmarks: TypeAlias = Callable[[RGB8], Floats | None]
"""Aligned crop (S, S, 3) -> (5, 2) landmarks in its pixels, or None if no face was found."""


def cosine_distance(a: Floats, b: Floats) -> float:
    """1 - cosine of the angle between two (D,) embeddings: 0 for one direction, 2 for opposite ones."""
    return 1.0 - _cosine(a, b)


def angle(a: Floats, b: Floats) -> float:
    """Angle between two (D,) embeddings in degrees, 0..180."""
    return float(np.degrees(np.arccos(np.clip(_cosine(a, b), -1, 1))))


def euclidean_distance(a: Floats, b: Floats) -> float:
    """Length of the difference of two (D,) embeddings."""
    return float(np.linalg.norm(a.astype(np.float64) - b))


def _cosine(a: Floats, b: Floats) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def roc_auc(same: ArrayLike, different: ArrayLike) -> float:
    """Probability that a pair of the same face is more similar than one of different faces; equal ones count half."""
    good, bad = _sort(same), _sort(different)
    below, to = (np.searchsorted(bad, good, side) for side in ("left", "right"))
    return float((below + to).mean() / (2 * len(bad)))


def equal_error(same: ArrayLike, different: ArrayLike) -> tuple[float, float]:
    """The threshold at which as many pairs of the same face fail as pairs of different faces pass -> (rate, threshold).

    A pair passes if it is at least as similar as the threshold. Where no threshold makes the rates equal, the one that
    comes nearest is taken, and the mean of the two rates (ValueError: there are none of one kind).
    """
    good, bad = _sort(same), _sort(different)
    thresholds = np.concatenate([good, bad])
    fail = np.searchsorted(good, thresholds, "left") / len(good)
    passing = 1 - np.searchsorted(bad, thresholds, "left") / len(bad)
    best = int(np.abs(fail - passing).argmin())
    return float((fail[best] + passing[best]) / 2), float(thresholds[best])


def threshold_at(different: ArrayLike, rate: float) -> float:
    """The similarity that a share ``rate`` of the pairs of different faces reaches (ValueError: there are none)."""
    return float(np.quantile(_sort(different), 1 - rate))


def verification(same: ArrayLike, different: ArrayLike) -> dict[str, float]:
    """``auc``, ``eer``, ``threshold_1`` (similarity at 1 % false matches), and the means ``same`` and ``different``."""
    return {
        "auc": roc_auc(same, different),
        "eer": equal_error(same, different)[0],
        "threshold_1": threshold_at(different, 0.01),
        "same": float(_sort(same).mean()),
        "different": float(_sort(different).mean()),
    }


def _sort(values: ArrayLike) -> NDArray[np.float64]:
    array = np.sort(np.asarray(values, np.float64).ravel())
    if not array.size:
        raise ValueError("no pairs to compare")
    return array


def landmark_error(a: Floats | None, b: Floats | None, size: int) -> float:
    """Mean distance of (K, 2) landmarks between two aligned crops of ``size`` pixels; in pixels of a crop of 512.

    nan if one of them is None.
    """
    if a is None or b is None:
        return math.nan
    return float(np.linalg.norm(a - b, axis=1).mean() * 512 / size)


def central_landmarks(detect: Callable[[Image], Sequence[Face]]) -> FindLandmarks:
    """A detector as a function: aligned crop -> landmarks of the face nearest to its center, None without faces."""

    def find(image: RGB8) -> Floats | None:
        center = np.array(image.shape[1::-1]) / 2
        found = [face.landmarks for face in detect(image)]
        return min(found, key=lambda points: float(np.linalg.norm(points.mean(axis=0) - center)), default=None)

    return find


class DetectionEvaluator:
    """Counts hits of detections on true faces over many images.

    A detection, best scores first, hits the free true face that it overlaps most, if their IoU is at least 0.5. Others
    are false, unless they overlap a true face that does not count (one too blurred to tell, say). ``bins`` are widths
    in pixels that divide small from larger faces.
    """

    def __init__(self, bins: Sequence[float] = (24.0, 64.0)) -> None:
        self._edges = np.array([0.0, *bins, np.inf])
        self._faces = np.zeros(len(bins) + 1, int)
        self._errors: list[list[float]] = [[] for _ in range(len(bins) + 1)]
        self._normalized: list[float] = []
        self._false = 0
        self._images = 0

    def add(self, boxes: Floats, landmarks: Floats, counts: NDArray[np.bool_], found: Floats, points: Floats) -> None:
        """Compare the detections of one image, best first, with the truth.

        True boxes are (F, 4), landmarks (F, 5, 2), eyes first, and ``counts`` (F,) says whether a face counts;
        ``found`` are (M, 4) boxes, ``points`` (M, 5, 2).
        """
        self._images += 1
        width = boxes[:, 2] - boxes[:, 0]
        classes = np.searchsorted(self._edges, width, side="right") - 1
        np.add.at(self._faces, classes[counts], 1)
        free = np.ones(len(boxes), bool)
        for row, overlap in enumerate(iou(found, boxes)):
            values = overlap * free
            if not len(values) or values.max() < 0.5:
                self._false += not (overlap[~counts] > 0.2).any()
                continue
            best = int(values.argmax())
            free[best] = False
            if counts[best]:
                error = float(np.linalg.norm(points[row] - landmarks[best], axis=1).mean())
                self._errors[classes[best]].append(error / float(width[best]))
                eyes = float(np.linalg.norm(landmarks[best, 0] - landmarks[best, 1]))
                self._normalized.append(error / max(eyes, 1e-6))

    def metrics(self) -> dict[str, float]:
        """Metrics over all images; nan where there is nothing to take a mean of.

        ``recall``, ``precision``, ``false_per_image``; ``nme``: mean landmark error over eye distance; for each class
        of width ``recall/24-64`` and ``error/24-64``: mean landmark error over width.
        """
        hits = sum(map(len, self._errors))
        names = [f"{low:g}-{high:g}" for low, high in zip(self._edges[:-1], self._edges[1:], strict=True)]
        found = {
            "recall": _ratio(hits, int(self._faces.sum())),
            "precision": _ratio(hits, hits + self._false),
            "false_per_image": _ratio(self._false, self._images),
            "nme": _ratio(sum(self._normalized), len(self._normalized)),
        }
        for name, errors, faces in zip(names, self._errors, self._faces, strict=True):
            found[f"recall/{name}"] = _ratio(len(errors), int(faces))
            found[f"error/{name}"] = _ratio(sum(errors), len(errors))
        return found


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else math.nan
