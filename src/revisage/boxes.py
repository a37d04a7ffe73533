"""Boxes (N, 4), x1, y1, x2, y2 in pixels: how far they overlap, and which of many that overlap to keep."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import Array


def iou(boxes: Array, others: Array) -> Array:
    """(M, 4), (K, 4) -> (M, K) intersection over union; an inverted box has no area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area, areas = (np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1) for b in (boxes, others))
    return shared / np.maximum(area[:, None] + areas[None] - shared, 1e-9)


def nms(boxes: Array, scores: Array, overlap: float) -> NDArray[np.int64]:
    """Non-maximum suppression: places of the boxes (M, 4) to keep, best of the scores (M,), all above 0, first.

    Of two boxes with an IoU above ``overlap`` only the better is kept.
    """
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sizes.tolist(), scores.tolist(), 0.0, overlap) if len(boxes) else ()
    return np.asarray(kept, np.int64).reshape(-1)
