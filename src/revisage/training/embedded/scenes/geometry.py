"""The geometry of scenes: similarities that place photos, and what becomes of boxes and points under them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from revisage.training.embedded.scenes.labelled_photos import Floats, LabelledPhoto

Matrix = NDArray[np.float64]
"""(2, 3) affine map."""


def turn(rng: np.random.Generator) -> float:
    """An angle in degrees: mostly upright within 30, some lying or upside down."""
    kind = rng.random()
    if kind < 0.93:
        return float(np.clip(rng.normal(0, 13), -40, 40))
    return float(rng.choice((-90, 90, 180)) + rng.normal(0, 10))


def similarity(
    scale: float, angle: float, mirror: bool, source: NDArray[np.floating], target: NDArray[np.floating]
) -> Matrix:
    """(2, 3) map that mirrors (or not), scales, turns by ``angle`` degrees and brings ``source`` to ``target``."""
    cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    return np.column_stack([linear, target - linear @ source])


def transformed(points: NDArray[np.floating], matrix: Matrix) -> NDArray[np.float64]:
    """Apply a (2, 3) map to (N, 2) points."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def turned_boxes(boxes: Floats, matrix: Matrix) -> Floats:
    """Boxes after a similarity: upright boxes of the ellipses that the old boxes enclose.

    Unlike the box of the four corners it stays as tight as a box drawn by hand around a tilted face.
    """
    centres = transformed((boxes[:, :2] + boxes[:, 2:]) / 2, matrix)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centres - reach, centres + reach], axis=1).astype(np.float32)


def aim(
    photo: LabelledPhoto,
    face: int | None,
    width: float,
    centre: NDArray[np.float64],
    angle: float,
    rng: np.random.Generator,
) -> Matrix:
    """The map that makes a face ``width`` wide and puts it at ``centre``; without a face, a third of the photo."""
    box = bounds(photo) / 3 if face is None else photo.boxes[face]
    middle = (box[:2] + box[2:]) / 2
    return similarity(width / float(box[2] - box[0]), angle, rng.random() < 0.5, middle, centre)


def corners(box: Floats) -> Floats:
    """(4, 2) corners of a box, clockwise from the top left."""
    return box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)


def bounds(photo: LabelledPhoto) -> Floats:
    """(4,) box of the whole photo."""
    height, width = photo.pixels.shape[:2]
    return np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)


def around(photo: LabelledPhoto, face: int, rng: np.random.Generator) -> Floats:
    """The face with some of its surroundings, within the photo."""
    box = photo.boxes[face]
    size = box[2:] - box[:2]
    reach = size * rng.uniform(0.12, 0.9, 4).reshape(2, 2)
    whole = bounds(photo)
    return np.concatenate([np.maximum(box[:2] - reach[0], whole[:2]), np.minimum(box[2:] + reach[1], whole[2:])])


def inside(boxes: Floats, region: Floats) -> Floats:
    """(F,) share of each box that lies in ``region``."""
    overlap = np.minimum(boxes[:, 2:], region[2:]) - np.maximum(boxes[:, :2], region[:2])
    return np.clip(overlap, 0, None).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def touches(boxes: Floats, box: NDArray[np.floating], slack: float) -> bool:
    """Whether ``box`` comes nearer than ``-slack`` pixels to any of ``boxes`` (slack > 0 allows that much overlap)."""
    if not len(boxes):
        return False
    overlap = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return bool((overlap > slack).all(axis=1).any())
