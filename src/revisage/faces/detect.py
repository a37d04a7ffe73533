"""Find the faces of a photo: choose working sizes, propose, merge, then look again at each face closely.

The network comes in as a function, so that this module knows neither weights nor tensors::

    propose(pictures) -> boxes, scores, landmarks

    pictures    (N, H, W, 3) uint8 RGB, N equally large pictures of any size
    boxes       (N, A, 4) float32 x1, y1, x2, y2 in pixels of those pictures
    scores      (N, A) float32 in [0, 1]
    landmarks   (N, A, 5, 2) float32, likewise; image-left eye first

with one entry an anchor, before any selection. :class:`Detector` turns it into ``detect(image) -> list[Face]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.boxes import iou, without_overlaps
from revisage.tensors import from_float, to_float
from revisage.types import Array, Face, Image

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float64]
Propose: TypeAlias = Callable[[Pixels], tuple[Floats, Floats, Floats]]
"""See the head of this module."""

MIRRORED = (1, 0, 2, 4, 3)
"""Order of the five landmarks in a mirrored picture."""
TOGETHER = 16
"""Close looks that go through the network together."""
UNSEEN = 0.01
"""Score of a close look that finds no face where one was expected."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Faces in the making: boxes (M, 4), scores (M,), landmarks (M, 5, 2), all float32, in pixels of the photo."""

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> Candidates:
        return Candidates(self.boxes[rows], self.scores[rows], self.landmarks[rows])


@dataclass(frozen=True)
class Detector:
    """Detects faces. Remembers nothing between calls; any number of threads may share one if ``propose`` allows it.

    Attributes:
        propose: the network as a function, see the head of this module.
        threshold: score that a face needs in the end.
        hint: score from which a place is worth a close look.
        most: close looks at no more than this many places, the likeliest ones; bounds the time.
        pixels: largest area of a working picture; bounds memory and time for photos of any size.
        enlarge: largest enlargement of a small photo (anchors start at 16 pixels, faces worth finding at half of that).
        smallest: width in pixels of the photo below which a face is not reported.
        looks: widths in pixels that a face has when it is looked at again.
    """

    propose: Propose
    threshold: float = 0.58
    hint: float = 0.1
    most: int = 400
    pixels: int = 2_000_000
    enlarge: float = 2.0
    smallest: float = 6.0
    looks: tuple[float, ...] = (80.0, 100.0)

    def __call__(self, image: Image) -> list[Face]:
        """Faces of one photo, best score first.

        Args:
            image: (H, W, 3) RGB, uint8, uint16 or float32 in [0, 1], of any size.

        Returns:
            Faces in pixels of ``image``; their middle lies in it, but boxes and landmarks may reach beyond its border.
        """
        scales = working_scales(image, self.pixels, self.enlarge)
        first = concatenated([self._search(image, scale) for scale in scales])
        hinted = without_nested(suppressed(first))[: self.most]
        seen = without_ornaments(without_nested(suppressed(look_again(self.propose, image, hinted, self.looks))))
        height, width = image.shape[:2]
        centres = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2
        good = (
            (seen.scores >= self.threshold)
            & (seen.boxes[:, 2] - seen.boxes[:, 0] >= self.smallest)
            & plausible(seen)
            & (centres >= -0.5).all(axis=1)
            & (centres < (width - 0.5, height - 0.5)).all(axis=1)
        )
        seen = seen[good]
        return [Face(*face) for face in zip(seen.boxes, seen.landmarks, seen.scores.tolist(), strict=True)]

    def _search(self, image: Image, scale: float) -> Candidates:
        """What the network sees in the whole photo at one size."""
        picture = resized(image, scale)
        boxes, scores, landmarks = (output[0] for output in self.propose(picture[None]))
        likely = scores >= self.hint
        # Between the pixel centres of the two pictures; sizes are whole numbers, hence a ratio for each axis.
        ratio = np.array(image.shape[1::-1], np.float32) / np.array(picture.shape[1::-1], np.float32)
        boxes = (boxes[likely] + 0.5) * np.tile(ratio, 2) - 0.5
        return Candidates(boxes, scores[likely], (landmarks[likely] + 0.5) * ratio - 0.5)


def working_scales(image: Image, pixels: int, enlarge: float) -> list[float]:
    """Sizes at which to search: one for small faces, and a small one for faces that fill the photo.

    The fine size enlarges small photos by up to ``enlarge`` and keeps the area below ``pixels``.
    """
    height, width = image.shape[:2]
    fine = min(enlarge, float(np.sqrt(pixels / (height * width))))
    coarse = 320 / max(height, width)
    return [fine, coarse] if coarse < 0.7 * fine else [fine]


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


def suppressed(faces: Candidates, overlap: float = 0.4) -> Candidates:
    """Non-maximum suppression: of faces that overlap (IoU) by more than ``overlap``, only the best; best first."""
    return faces[without_overlaps(faces.boxes, faces.scores, overlap)]


def without_nested(faces: Candidates) -> Candidates:
    """Leave out faces that lie within a clearly larger one: eyes, mouths and cheeks taken for faces."""
    low = np.maximum(faces.boxes[:, None, :2], faces.boxes[None, :, :2])
    high = np.minimum(faces.boxes[:, None, 2:], faces.boxes[None, :, 2:])
    area = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
    inside = np.clip(high - low, 0, None).prod(axis=2) > 0.8 * area[:, None]
    nested = inside & (area[None] > 1.5 * area[:, None]) & (faces.scores[None] > 0.7 * faces.scores[:, None])
    return faces[~nested.any(axis=1)]


def without_ornaments(faces: Candidates, sure: float = 0.65, large: float = 100.0) -> Candidates:
    """Leave out what sits on the chest of a face at least six times as wide: pins, buttons and dots of ties.

    They are the commonest false faces by far, where the large face is at least ``large`` pixels wide (else they are too
    small to look like anything). What scores ``sure`` or more stays: a face can be there, on a shirt say.
    """
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    size = faces.boxes[:, 2:] - faces.boxes[:, :2]
    across, down = ((centres[:, None] - centres[None]) / size[None]).transpose(2, 0, 1)
    worn = (np.abs(across) < 1.5) & (down > 0.6) & (down < 2.5) & (size[None, :, 0] > 6 * size[:, None, 0])
    wearer = (faces.scores >= 0.8) & (size[:, 0] >= large)
    return faces[(faces.scores >= sure) | ~(worn & wearer[None]).any(axis=1)]


def plausible(faces: Candidates) -> NDArray[np.bool_]:
    """(M,) whether the landmarks are spread over the box like those of a face, not in one place or far outside."""
    size = np.sqrt(np.clip(faces.boxes[:, 2:] - faces.boxes[:, :2], 0, None).prod(axis=1))
    middle = faces.landmarks.mean(axis=1)
    spread = np.sqrt(((faces.landmarks - middle[:, None]) ** 2).sum(axis=2).mean(axis=1))
    off = np.linalg.norm(middle - (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2, axis=1)
    return (size > 0) & (spread > 0.12 * size) & (spread < 0.6 * size) & (off < 0.4 * size)


def concatenated(parts: list[Candidates]) -> Candidates:
    """Candidates one after the other."""
    return Candidates(
        np.concatenate([empty().boxes, *(part.boxes for part in parts)]),
        np.concatenate([empty().scores, *(part.scores for part in parts)]),
        np.concatenate([empty().landmarks, *(part.landmarks for part in parts)]),
    )


def empty() -> Candidates:
    """No faces."""
    return Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
