"""How well detections agree with true faces: recall, precision, landmark error, by width of the face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from revisage.boxes import iou

Floats = NDArray[np.floating]


class Tally:
    """Counts hits of detections on true faces over many pictures.

    A detection, best scores first, hits the free true face that it overlaps most, if their IoU is at least 0.5; what
    hits none is false, unless it overlaps a true face that does not count (one too blurred to tell, say).

    Args:
        bins: widths in pixels that divide small from larger faces; figures are given for each class of width.
    """

    def __init__(self, bins: Sequence[float] = (24.0, 64.0)) -> None:
        self._edges = np.array([0.0, *bins, np.inf])
        self._faces = np.zeros(len(bins) + 1, int)
        self._errors: list[list[float]] = [[] for _ in range(len(bins) + 1)]
        self._normalised: list[float] = []
        self._false = 0
        self._pictures = 0

    def add(self, boxes: Floats, landmarks: Floats, counts: NDArray[np.bool_], found: Floats, points: Floats) -> None:
        """Compare the detections of one picture with the truth.

        Args:
            boxes: (F, 4) true x1, y1, x2, y2.
            landmarks: (F, 5, 2) true points, eyes first.
            counts: (F,) whether a face counts.
            found: (M, 4) detected boxes, best first.
            points: (M, 5, 2) detected points.
        """
        self._pictures += 1
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
                self._normalised.append(error / max(eyes, 1e-6))

    def metrics(self) -> dict[str, float]:
        """Figures over all pictures; nan where there is nothing to take a mean of.

        ``recall``, ``precision``, ``false_per_picture``; ``nme``: mean landmark error over eye distance; for each class
        of width ``recall/24-64`` and ``error/24-64``: mean landmark error over width.
        """
        hits = sum(map(len, self._errors))
        names = [f"{low:g}-{high:g}" for low, high in zip(self._edges[:-1], self._edges[1:], strict=True)]
        by_width = zip(names, self._errors, self._faces, strict=True)
        found = {
            "recall": _share(hits, int(self._faces.sum())),
            "precision": _share(hits, hits + self._false),
            "false_per_picture": _share(self._false, self._pictures),
            "nme": _share(sum(self._normalised), len(self._normalised)),
        }
        for name, errors, faces in by_width:
            found |= {
                f"recall/{name}": _share(len(errors), int(faces)),
                f"error/{name}": _share(sum(errors), len(errors)),
            }
        return found


def _share(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
