"""Face candidates, and which of them to drop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from revisage import boxes

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Face candidates: boxes (M, 4), scores (M,), landmarks (M, 5, 2), all float32, in pixels of the photo."""

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> Candidates:
        return Candidates(self.boxes[rows], self.scores[rows], self.landmarks[rows])


def nms(faces: Candidates, overlap: float = 0.4) -> Candidates:
    """Non-maximum suppression: of faces that overlap (IoU) by more than ``overlap``, only the best; best first."""
    return faces[boxes.nms(faces.boxes, faces.scores, overlap)]


def drop_nested(faces: Candidates) -> Candidates:
    """Drop faces that lie within a clearly larger one: eyes, mouths and cheeks taken for faces.

    Where a much smaller one sits on an eye, the nose or the mouth of a likely face, its own score does not save it.
    """
    low = np.maximum(faces.boxes[:, None, :2], faces.boxes[None, :, :2])
    high = np.minimum(faces.boxes[:, None, 2:], faces.boxes[None, :, 2:])
    area = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
    inside = np.clip(high - low, 0, None).prod(axis=2) > 0.8 * area[:, None]
    nested = inside & (area[None] > 1.5 * area[:, None]) & (faces.scores[None] > 0.7 * faces.scores[:, None])
    features = inside & (area[None] > 4 * area[:, None]) & (faces.scores[None] > 0.5) & _on_landmarks(faces)
    return faces[~(nested | features).any(axis=1)]


def _on_landmarks(faces: Candidates) -> NDArray[np.bool_]:
    """(M, M) whether the center of the first face lies on an eye, the nose or the mouth of the second."""
    mouths = faces.landmarks[:, 3:].mean(axis=1, keepdims=True)
    features = np.concatenate([faces.landmarks, mouths], axis=1)
    centers = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    widths = faces.boxes[:, 2] - faces.boxes[:, 0]
    off = np.linalg.norm(centers[:, None, None] - features[None], axis=-1).min(axis=-1, initial=np.inf)
    return off < 0.15 * widths[None]


def drop_body_false_positives(faces: Candidates) -> Candidates:
    """Drop doubtful candidates on or beside a much larger face: hair, ears, pins, buttons, patterns of clothes.

    They are the commonest false faces. Three rules, each with a score that saves a candidate, since a face can be
    there, of a child or on a shirt, say. Offsets of centers are in widths and heights of the larger face:

    * around a face 2.5 times as wide and of at least 64 pixels: score 0.83;
    * further down the chest of a face six times as wide and of at least 100 pixels: score 0.65;
    * there, but between the shoulders and of a face ten times as wide: score 0.83.
    """
    centers = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    size = faces.boxes[:, 2:] - faces.boxes[:, :2]
    across, down = ((centers[:, None] - centers[None]) / size[None]).transpose(2, 0, 1)
    across, ratio = np.abs(across), size[None, :, 0] / size[:, None, 0]
    around = (across < 1.25) & (down > -0.95) & (down < 1.45) & (ratio > 2.5) & (size[:, 0] >= 64)
    chest = (across < 1.5) & (down > 0.6) & (down < 2.5) & (ratio > 6) & (size[:, 0] >= 100)
    sure = (faces.scores >= 0.8)[None]
    badge = chest & (across < 1) & (ratio > 10)
    doubtful = ((around | badge) & sure).any(axis=1) & (faces.scores < 0.83)
    return faces[~(doubtful | ((chest & sure).any(axis=1) & (faces.scores < 0.65)))]


def has_valid_landmarks(faces: Candidates) -> NDArray[np.bool_]:
    """(M,) whether landmarks are those of a face: spread over the box, the mouth below the eyes, nothing mirrored."""
    size = np.sqrt(np.clip(faces.boxes[:, 2:] - faces.boxes[:, :2], 0, None).prod(axis=1))
    middle = faces.landmarks.mean(axis=1)
    spread = np.sqrt(((faces.landmarks - middle[:, None]) ** 2).sum(axis=2).mean(axis=1))
    off = np.linalg.norm(middle - (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2, axis=1)
    spread_over_box = (size > 0) & (spread > 0.12 * size) & (spread < 0.6 * size) & (off < 0.4 * size)
    across = faces.landmarks[:, 1] - faces.landmarks[:, 0] + faces.landmarks[:, 4] - faces.landmarks[:, 3]
    down = faces.landmarks[:, 3:].mean(axis=1) - faces.landmarks[:, :2].mean(axis=1)
    # In profile the eyes meet, and noise may cross them; turned from the front they are not.
    area = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]
    return spread_over_box & (np.linalg.norm(down, axis=1) > 0.12 * size) & (area > -0.05 * size**2)


def unrotate(faces: Candidates, quarter_turns: int, shape: tuple[int, ...]) -> Candidates:
    """Map faces of an image that was rotated to the left (``np.rot90``) back to the image itself, of this ``shape``."""
    height, width = shape[:2]
    ends = faces.boxes.reshape(-1, 2, 2)
    points = np.concatenate([ends, faces.landmarks], axis=1)
    x, y = points[..., 0], points[..., 1]
    x, y = [(x, y), (width - 1 - y, x), (width - 1 - x, height - 1 - y), (y, height - 1 - x)][quarter_turns % 4]
    points = np.stack([x, y], axis=-1)
    boxes = np.concatenate([points[:, :2].min(axis=1), points[:, :2].max(axis=1)], axis=1)
    return Candidates(boxes, faces.scores, points[:, 2:])


def concatenate(parts: list[Candidates]) -> Candidates:
    """Candidates one after the other."""
    return Candidates(
        np.concatenate([empty().boxes, *(part.boxes for part in parts)]),
        np.concatenate([empty().scores, *(part.scores for part in parts)]),
        np.concatenate([empty().landmarks, *(part.landmarks for part in parts)]),
    )


def empty() -> Candidates:
    """No faces."""
    return Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
