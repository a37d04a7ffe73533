"""A closer look at faces that were found: upright, at the size where the network is most exact, and mirrored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.boxes import iou
from revisage.images.pixels import from_float, to_float
from revisage.restore.candidates import Candidates, Floats, concatenated, empty
from revisage.types import Array, Image

Pixels: TypeAlias = NDArray[np.uint8]
Matrix: TypeAlias = NDArray[np.float64]
Propose: TypeAlias = Callable[[Pixels], tuple[Floats, Floats, Floats]]
"""See the head of :mod:`revisage.restore.detect`."""

MIRRORED = (1, 0, 2, 4, 3)
"""Order of the five landmarks in a mirrored picture."""
TOGETHER = 16
"""Close looks that go through the network together."""
UNSEEN = 0.01
"""Score of a close look that finds no face where one was expected."""


def resized(image: Array, scale: float) -> Pixels:
    """The photo at another size as uint8; sides at least 1, averaged over areas when it shrinks."""
    height, width = image.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    if size != (width, height):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
    return image if image.dtype == np.uint8 else np.asarray(from_float(to_float(image), np.uint8), np.uint8)


def look_again(propose: Propose, image: Image, faces: Candidates, looks: Sequence[float]) -> Candidates:
    """Show each face to the network upright and at the sizes where it is most exact, with its mirror images.

    The new landmarks and boxes are the means over all views. The score becomes the geometric mean of the old one and
    those of the views: a face looks like one every time, what looked like one by chance does not.
    """
    views = [view for look in looks for view in close_views(propose, image, faces, look)]
    scores = np.stack([faces.scores, *(view.scores for view in views)])
    return Candidates(
        np.stack([view.boxes for view in views] or [faces.boxes]).mean(axis=0),
        np.exp(np.log(np.maximum(scores, 1e-6)).mean(axis=0)),
        np.stack([view.landmarks for view in views] or [faces.landmarks]).mean(axis=0),
    )


def close_views(propose: Propose, image: Image, faces: Candidates, look: float) -> tuple[Candidates, Candidates]:
    """Each face as the network sees it ``look`` pixels wide, and its mirror image likewise; in pixels of the photo."""
    side = int(2 * look)
    plain, mirror = [empty()], [empty()]
    for start in range(0, len(faces), TOGETHER):
        part = faces[start : start + TOGETHER]
        matrices = [upright(box, points, look, side) for box, points in zip(part.boxes, part.landmarks, strict=True)]
        crops = np.stack([cropped(image, matrix, side) for matrix in matrices])
        boxes, scores, points = propose(np.concatenate([crops, crops[:, :, ::-1]]))
        for row, matrix in enumerate(matrices):
            here, there = (central(boxes[at], scores[at], points[at], side, look) for at in (row, row + len(part)))
            expected = part[row : row + 1]
            plain.append(placed(here, matrix, expected))
            mirror.append(placed(mirrored(there, side), matrix, expected))
    return concatenated(plain), concatenated(mirror)


def upright(box: Floats, landmarks: Floats, width: float, side: int) -> Matrix:
    """(2, 3) crop_from_image: the face upright, about ``width`` pixels wide, in the middle of ``side`` pixels."""
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    # Two witnesses of the roll: the line of the eyes, and the line from eyes to mouth turned by a right angle.
    across = (
        (landmarks[1] - landmarks[0])
        + (landmarks[4] - landmarks[3])
        + np.array([mouth[1] - eyes[1], eyes[0] - mouth[0]])
    )
    angle = float(np.arctan2(across[1], across[0]))
    # The area of the box hardly changes with the roll; an upright face is 1.36 times as high as wide.
    scale = width * np.sqrt(1.36) / max(float(np.sqrt((box[2:] - box[:2]).prod())), 1e-3)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]], np.float64)
    centre = (box[:2] + box[2:]).astype(np.float64) / 2
    return np.column_stack([linear, (side - 1) / 2 - linear @ centre])


def cropped(image: Image, crop_from_image: Matrix, side: int) -> Pixels:
    """(side, side, 3) uint8 view of the photo; the border is continued, and shrinking averages."""
    linear, shift = crop_from_image[:, :2], crop_from_image[:, 2]
    inverse = np.linalg.inv(linear)
    ends = (np.array([[0, 0], [side, 0], [0, side], [side, side]]) - 0.5 - shift) @ inverse.T
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(ends.min(axis=0)).astype(int) - 1, 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(ends.max(axis=0)).astype(int) + 2, (left + 1, top + 1), (width, height))
    window: Array = image[top:bottom, left:right]
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    small = resized(window, min(2 * scale, 1))  # warping samples single pixels: average before what it would skip
    ratio = np.array(window.shape[1::-1]) / np.array(small.shape[1::-1])
    # x = (x_small + 0.5) * ratio - 0.5 + left
    offset = linear @ (0.5 * ratio - 0.5 + (left, top)) + shift
    crop = cv2.warpAffine(
        small, np.column_stack([linear * ratio, offset]), (side, side), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(crop, np.uint8)


def central(boxes: Floats, scores: Floats, landmarks: Floats, side: int, width: float) -> Candidates:
    """The one face that a close look is about, the mean of all anchors that see it; empty if none does."""
    expected = np.array([[-0.5, -0.68, 0.5, 0.68]], np.float32) * width + (side - 1) / 2
    weights: Floats = np.where((scores > 0.05) & (iou(boxes, expected)[:, 0] > 0.4), scores, 0)
    best = int(weights.argmax())
    if not weights[best]:
        return empty()
    weights = np.where(iou(boxes, boxes[best : best + 1])[:, 0] > 0.6, weights, 0) ** 2
    weights /= weights.sum()
    box, points = np.tensordot(weights, boxes, 1), np.tensordot(weights, landmarks, 1)
    return Candidates(box[None], scores[best : best + 1], points[None])


def mirrored(faces: Candidates, side: int) -> Candidates:
    """Faces of a mirrored view of ``side`` pixels, as they lie in the view itself."""
    x1, y1, x2, y2 = faces.boxes.T
    boxes = np.stack([side - 1 - x2, y1, side - 1 - x1, y2], axis=1)
    landmarks = np.stack([side - 1 - faces.landmarks[..., 0], faces.landmarks[..., 1]], -1)[:, MIRRORED]
    return Candidates(boxes, faces.scores, landmarks)


def placed(view: Candidates, crop_from_image: Matrix, expected: Candidates) -> Candidates:
    """A face seen in a crop, in pixels of the photo; if none was seen, what was expected, with score ``UNSEEN``."""
    if not len(view):
        return Candidates(expected.boxes, np.full(1, UNSEEN, np.float32), expected.landmarks)
    inverse = np.linalg.inv(crop_from_image[:, :2])
    points = (view.landmarks - crop_from_image[:, 2]) @ inverse.T
    centre = inverse @ (view.boxes.reshape(2, 2).mean(axis=0) - crop_from_image[:, 2])
    # An upright box around the ellipse that the turned box encloses.
    half = np.sqrt(inverse**2 @ ((view.boxes[0, 2:] - view.boxes[0, :2]) / 2) ** 2)
    box = np.concatenate([centre - half, centre + half])[None]
    return Candidates(np.asarray(box, np.float32), view.scores, np.asarray(points, np.float32))
