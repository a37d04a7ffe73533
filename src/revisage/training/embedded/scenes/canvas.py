"""The canvas of a scene: photos pasted one over another, and what remains to be seen of their faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.training.embedded.scenes.geometry import Matrix, corners, inside, transformed, turned_boxes
from revisage.training.embedded.scenes.labelled_photos import MIRRORED, Floats, LabelledPhoto, Pixels
from revisage.training.embedded.scenes.photo_wear import Wear

Shape = Literal["whole", "rectangle", "ellipse"]

SMALLEST = 9.0
"""Width in pixels below which a face is uncertain."""
FINEST = 6.5
"""Width below which it is uncertain in units of the finest detail that the wear has left."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A square picture and its faces.

    Attributes:
        pixels: (S, S, 3) uint8 RGB.
        boxes: (F, 4) float32 x1, y1, x2, y2; may reach beyond the picture.
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
        self, photo: LabelledPhoto, canvas_from_photo: Matrix, shape: Shape, region: Floats, feather: float
    ) -> None:
        """Paste a photo and note its faces.

        Args:
            photo: what to paste.
            canvas_from_photo: (2, 3) similarity; a mirroring one exchanges left and right landmarks.
            shape: "whole" covers the canvas (edges of the photo are continued), the others show only ``region``.
            region: (4,) part of the photo to show, x1, y1, x2, y2.
            feather: width of the soft edge in canvas pixels.
        """
        outline = transformed(corners(region), canvas_from_photo)
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
        shown = inside(photo.boxes, region) > 0.8
        self._note(photo.boxes[shown], photo.landmarks[shown], canvas_from_photo)

    def _hide(self, mask: Floats, left: int, top: int) -> None:
        """Raise the hidden share of the faces that lie under ``mask``, whose corner is at (left, top)."""
        for index, box in enumerate(self.boxes):
            x1, y1, x2, y2 = np.rint(box).astype(int)
            part = mask[max(y1 - top, 0) : max(y2 - top, 0), max(x1 - left, 0) : max(x2 - left, 0)]
            self.hidden[index] += part.sum() / max((x2 - x1) * (y2 - y1), 1)

    def _note(self, boxes: Floats, landmarks: Floats, matrix: Matrix) -> None:
        moved = transformed(landmarks.reshape(-1, 2), matrix).reshape(-1, 5, 2)
        if np.linalg.det(matrix[:, :2]) < 0:
            moved = moved[:, MIRRORED]
        self.boxes = np.concatenate([self.boxes, turned_boxes(boxes, matrix)])
        self.landmarks = np.concatenate([self.landmarks, moved.astype(np.float32)])
        self.hidden = np.concatenate([self.hidden, np.zeros(len(boxes), np.float32)])

    def finish(self, wear: Wear, rng: np.random.Generator, strongest: float) -> Scene:
        """Degrade the picture and judge each face."""
        pixels, loss = wear(self.pixels, rng, strongest)
        canvas = np.array([-0.5, -0.5, self.side - 0.5, self.side - 0.5], np.float32)
        shown = np.minimum(inside(self.boxes, canvas), 1 - self.hidden)
        width = self.boxes[:, 2] - self.boxes[:, 0]
        certain = (shown > 0.65) & (width >= SMALLEST) & (width >= FINEST * loss)
        kept = (shown > 0.12) & (width >= 2)
        return Scene(pixels, self.boxes[kept], self.landmarks[kept], certain[kept])


def _warped(photo: LabelledPhoto, matrix: Matrix, left: int, top: int, width: int, height: int) -> Pixels:
    """The window of the canvas that the photo fills, its edges continued outwards; sampled from a fitting level."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    level = int(np.clip(np.floor(np.log2(1 / max(scale, 1e-6))), 0, len(photo.pyramid) - 1))
    source = photo.pyramid[level]
    ratio = np.array(photo.pixels.shape[1::-1]) / np.array(source.shape[1::-1])
    # Pixel centres: x = (x_level + 0.5) * ratio - 0.5.
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
        centre, across, down = outline.mean(axis=0), (outline[1] - outline[0]) / 2, (outline[3] - outline[0]) / 2
        outline = centre + np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * down
    cv2.fillConvexPoly(mask, np.rint(outline).astype(np.int32), 255)
    if feather > 0.3:
        mask = cv2.GaussianBlur(mask, (0, 0), feather)
    return mask.astype(np.float32) / np.float32(255)
