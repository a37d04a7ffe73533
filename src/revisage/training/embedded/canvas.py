"""The canvas of a scene: photos pasted one over another, and what remains to be seen of their faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.training.embedded.detector_degradation import DetectorDegradation
from revisage.training.embedded.labeled_photos import MIRRORED, Floats, LabeledPhoto, Pixels

Shape = Literal["whole", "rectangle", "ellipse"]

SMALLEST = 9.0
"""Width in pixels below which a face is uncertain."""
FINEST = 6.5
"""Width below which it is uncertain in units of the finest detail that the degradation has left."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A square image (S, S, 3) uint8 RGB and its F faces.

    Attributes:
        boxes: (F, 4) float32 x1, y1, x2, y2; may reach beyond the image.
        landmarks: (F, 5, 2) float32.
        certain: (F,) bool; the others count neither as faces nor as background.
    """

    pixels: Pixels
    boxes: Floats
    landmarks: Floats
    certain: NDArray[np.bool_]


class Canvas:
    """A scene in the making."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.boxes = np.zeros((0, 4), np.float32)
        self.landmarks = np.zeros((0, 5, 2), np.float32)
        self.hidden = np.zeros(0, np.float32)

    @property
    def side(self) -> int:
        """Side of the square in pixels."""
        return self.pixels.shape[0]

    def place(
        self, photo: LabeledPhoto, canvas_from_photo: Matrix, shape: Shape, region: Floats, feather: float
    ) -> None:
        """Paste a photo by a (2, 3) similarity and note its faces; a mirroring one exchanges left and right landmarks.

        "whole" covers the canvas (edges of the photo are continued), other shapes show only ``region``, x1, y1, x2, y2
        of the photo. ``feather`` is the width of the soft edge in canvas pixels.
        """
        outline = transform_points(corners(region), canvas_from_photo)
        if shape == "whole":
            left, top, right, bottom = 0, 0, self.side, self.side
        else:
            margin = 2 * feather + 1
            left, top = np.maximum(np.floor(outline.min(axis=0) - margin), 0).astype(int)
            right, bottom = np.minimum(np.ceil(outline.max(axis=0) + margin), self.side).astype(int)
            if right - left < 2 or bottom - top < 2:
                return
        patch = _warped(photo, canvas_from_photo, left, top, right - left, bottom - top)
        window = self.pixels[top:bottom, left:right]
        if shape == "whole":
            window[:] = patch
            self.hidden[:] = 1
        else:
            mask = _mask(outline - (left, top), shape, patch.shape[:2], feather)
            blended = window + (patch.astype(np.float32) - window) * mask[..., None]
            window[:] = np.rint(blended).astype(np.uint8)
            self._hide(mask, left, top)
        shown = fraction_inside(photo.boxes, region) > 0.8
        self._note(photo.boxes[shown], photo.landmarks[shown], canvas_from_photo)

    def _hide(self, mask: Floats, left: int, top: int) -> None:
        """Raise the hidden share of the faces that lie under ``mask``, whose corner is at (left, top)."""
        for index, box in enumerate(self.boxes):
            x1, y1, x2, y2 = np.rint(box).astype(int)
            part = mask[max(y1 - top, 0) : max(y2 - top, 0), max(x1 - left, 0) : max(x2 - left, 0)]
            self.hidden[index] += part.sum() / max((x2 - x1) * (y2 - y1), 1)

    def _note(self, boxes: Floats, landmarks: Floats, matrix: Matrix) -> None:
        moved = transform_points(landmarks.reshape(-1, 2), matrix).reshape(-1, 5, 2)
        if np.linalg.det(matrix[:, :2]) < 0:
            moved = moved[:, MIRRORED]
        self.boxes = np.concatenate([self.boxes, transform_boxes(boxes, matrix)])
        self.landmarks = np.concatenate([self.landmarks, moved.astype(np.float32)])
        self.hidden = np.concatenate([self.hidden, np.zeros(len(boxes), np.float32)])

    def finish(self, degradation: DetectorDegradation, rng: np.random.Generator, strongest: float) -> Scene:
        """Degrade the image and judge each face."""
        pixels, loss = degradation(self.pixels, rng, strongest)
        canvas = np.array([-0.5, -0.5, self.side - 0.5, self.side - 0.5], np.float32)
        shown = np.minimum(fraction_inside(self.boxes, canvas), 1 - self.hidden)
        width = self.boxes[:, 2] - self.boxes[:, 0]
        certain = (shown > 0.65) & (width >= SMALLEST) & (width >= FINEST * loss)
        kept = (shown > 0.12) & (width >= 2)
        return Scene(pixels, self.boxes[kept], self.landmarks[kept], certain[kept])


def _warped(photo: LabeledPhoto, matrix: Matrix, left: int, top: int, width: int, height: int) -> Pixels:
    """The window of the canvas that the photo fills, its edges continued outwards; sampled from a fitting level."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    level = int(np.clip(np.floor(np.log2(1 / max(scale, 1e-6))), 0, len(photo.pyramid) - 1))
    source = photo.pyramid[level]
    ratio = np.array(photo.pixels.shape[1::-1]) / np.array(source.shape[1::-1])
    # Pixel centers: x = (x_level + 0.5) * ratio - 0.5.
    linear = matrix[:, :2] * ratio
    shift = matrix[:, :2] @ (0.5 * ratio - 0.5) + matrix[:, 2] - (left, top)
    window = cv2.warpAffine(
        source, np.column_stack([linear, shift]), (int(width), int(height)), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(window, np.uint8)


def _mask(outline: NDArray[np.float64], shape: Shape, size: tuple[int, ...], feather: float) -> Floats:
    """(H, W) float32 in [0, 1]: the parallelogram of ``outline`` or the ellipse in it, with a soft edge."""
    mask = np.zeros(size, np.uint8)
    if shape == "ellipse":
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        center, across, down = outline.mean(axis=0), (outline[1] - outline[0]) / 2, (outline[3] - outline[0]) / 2
        outline = center + np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * down
    cv2.fillConvexPoly(mask, np.rint(outline).astype(np.int32), 255)
    if feather > 0.3:
        mask = cv2.GaussianBlur(mask, (0, 0), feather)
    return mask.astype(np.float32) / np.float32(255)


Matrix = NDArray[np.float64]
"""(2, 3) affine map."""


def draw_angle(rng: np.random.Generator) -> float:
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


def transform_points(points: NDArray[np.floating], matrix: Matrix) -> NDArray[np.float64]:
    """Apply a (2, 3) map to (N, 2) points."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def transform_boxes(boxes: Floats, matrix: Matrix) -> Floats:
    """Upright boxes of the ellipses that boxes enclose, after a similarity; as tight as drawn around tilted faces."""
    centers = transform_points((boxes[:, :2] + boxes[:, 2:]) / 2, matrix)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centers - reach, centers + reach], axis=1).astype(np.float32)


def aim(
    photo: LabeledPhoto,
    face: int | None,
    width: float,
    center: NDArray[np.float64],
    angle: float,
    rng: np.random.Generator,
) -> Matrix:
    """The map that makes a face ``width`` wide and puts it at ``center``; without a face, a third of the photo."""
    box = bounds(photo) / 3 if face is None else photo.boxes[face]
    middle = (box[:2] + box[2:]) / 2
    return similarity(width / float(box[2] - box[0]), angle, rng.random() < 0.5, middle, center)


def corners(box: Floats) -> Floats:
    """(4, 2) corners of a box, clockwise from the top left."""
    return box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)


def bounds(photo: LabeledPhoto) -> Floats:
    """(4,) box of the whole photo."""
    height, width = photo.pixels.shape[:2]
    return np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)


def draw_region(photo: LabeledPhoto, face: int, rng: np.random.Generator) -> Floats:
    """The face with some of its surroundings, within the photo."""
    box = photo.boxes[face]
    size = box[2:] - box[:2]
    reach = size * rng.uniform(0.12, 0.9, 4).reshape(2, 2)
    whole = bounds(photo)
    return np.concatenate([np.maximum(box[:2] - reach[0], whole[:2]), np.minimum(box[2:] + reach[1], whole[2:])])


def fraction_inside(boxes: Floats, region: Floats) -> Floats:
    """(F,) share of each box that lies in ``region``."""
    overlap = np.minimum(boxes[:, 2:], region[2:]) - np.maximum(boxes[:, :2], region[:2])
    return np.clip(overlap, 0, None).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def overlaps(boxes: Floats, box: NDArray[np.floating], slack: float) -> bool:
    """Whether ``box`` comes nearer than ``-slack`` pixels to any of ``boxes`` (slack > 0 allows that much overlap)."""
    if not len(boxes):
        return False
    overlap = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return bool((overlap > slack).all(axis=1).any())
