"""Scenes with known faces for training a detector: photos and crops placed, turned and scattered on backgrounds.

A scene is composed in three steps: a background without faces, placements of labelled photos on it (each an affine map
and a mask), and wear. Faces that are largely hidden, cut off, or too small or too blurred to be told from anything else
stay in the scene but are marked as uncertain: neither face nor background.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from revisage.data.backgrounds import jigsaw, procedural
from revisage.data.labelled_photos import MIRRORED, Floats, LabelledPhoto, Pixels
from revisage.data.photo_wear import Wear

Matrix = NDArray[np.float64]
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


class SceneSample(TypedDict):
    """A scene as tensors.

    Keys:
        picture: (3, S, S) uint8 R, G, B.
        boxes: (F, 4) float32; landmarks: (F, 10) float32; certain: (F,) bool.
    """

    picture: torch.Tensor
    boxes: torch.Tensor
    landmarks: torch.Tensor
    certain: torch.Tensor


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
        corners = transformed(_corners(region), canvas_from_photo)
        if shape == "whole":
            left, top, right, bottom = 0, 0, self.side, self.side
        else:
            margin = 2 * feather + 1
            left, top = np.maximum(np.floor(corners.min(axis=0) - margin), 0).astype(int)
            right, bottom = np.minimum(np.ceil(corners.max(axis=0) + margin), self.side).astype(int)
            if right - left < 2 or bottom - top < 2:
                return
        patch = _warped(photo, canvas_from_photo, left, top, right - left, bottom - top)
        window = self.pixels[top:bottom, left:right]
        if shape == "whole":
            window[:] = patch
            self.hidden[:] = 1
        else:
            mask = _mask(corners - (left, top), shape, patch.shape[:2], feather)
            blended = window + (patch.astype(np.float32) - window) * mask[..., None]
            window[:] = np.rint(blended).astype(np.uint8)
            self._hide(mask, left, top)
        shown = _inside(photo.boxes, region) > 0.8
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
        shown = np.minimum(_inside(self.boxes, canvas), 1 - self.hidden)
        width = self.boxes[:, 2] - self.boxes[:, 0]
        certain = (shown > 0.65) & (width >= SMALLEST) & (width >= FINEST * loss)
        kept = (shown > 0.12) & (width >= 2)
        return Scene(pixels, self.boxes[kept], self.landmarks[kept], certain[kept])


class FaceScenes(Dataset[SceneSample]):
    """Endless scenes; scene ``index`` depends on (seed, index) and on nothing else.

    Args:
        photos: whole photos with their faces.
        crops: pictures of one face each.
        side: of a scene in pixels, a multiple of 4.
        seed: of everything random.
        mistakes: name of a photo -> (K, 4) boxes in it that a network wrongly took for faces: shown as often as all
            other small things together.
        backgrounds: how many are made in advance. Most scenes use a part of one of them, turned and in other colours:
            a new one takes longer than all the rest of a scene.
    """

    def __init__(
        self,
        photos: Sequence[LabelledPhoto],
        crops: Sequence[LabelledPhoto],
        side: int,
        seed: int,
        mistakes: Mapping[str, Floats] | None = None,
        backgrounds: int = 1000,
    ) -> None:
        self.photos = list(photos)
        self.crops = list(crops) or self.photos
        self.side = side
        self.seed = seed
        self.wear = Wear(seed)
        self._spots = [(photo, *spot) for photo in self.photos for spot in salient_spots(photo).tolist()]
        self._mistakes = [
            (photo, float(x1 + x2) / 2, float(y1 + y2) / 2, float(y2 - y1))
            for photo in self.photos
            for x1, y1, x2, y2 in (mistakes or {}).get(photo.name, np.zeros((0, 4)))
        ]
        rng = np.random.default_rng((seed, 5))
        self._backgrounds = [self._new_background(rng, side) for _ in range(backgrounds)]

    def __len__(self) -> int:
        return len(self.photos) + len(self.crops)

    def __getitem__(self, index: int) -> SceneSample:
        scene = self.scene(np.random.default_rng((self.seed, 3, index)))
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(scene.pixels.transpose(2, 0, 1))),
            "boxes": torch.from_numpy(scene.boxes),
            "landmarks": torch.from_numpy(scene.landmarks.reshape(-1, 10)),
            "certain": torch.from_numpy(scene.certain),
        }

    def scene(self, rng: np.random.Generator) -> Scene:
        """A random scene of any kind."""
        kinds: tuple[tuple[float, Callable[[np.random.Generator], Scene]], ...] = (
            (0.18, lambda r: self.photo(r, self.side)),
            (0.08, lambda r: self.tiled(r, 2, self.photo)),
            (0.26, self.group),
            (0.05, lambda r: self.portrait(r, self.side)),
            (0.31, lambda r: self.tiled(r, 2, self.portrait)),
            (0.12, self.empty),
        )
        chosen = rng.choice(len(kinds), p=[share for share, _ in kinds])
        return kinds[int(chosen)][1](rng)

    def photo(self, rng: np.random.Generator, side: int) -> Scene:
        """One photo at any scale and place, its main face 10 pixels wide or as wide as the scene."""
        canvas = Canvas(self.background(rng, side))
        photo = self._any(rng, self.photos if rng.random() < 0.75 else self.crops)
        face = int(rng.integers(len(photo.boxes))) if len(photo.boxes) else None
        width = 10 * (0.95 * side / 10) ** rng.random()
        matrix = self._aim(photo, face, width, rng.uniform(0.1, 0.9, 2) * side, turn(rng), rng)
        shape: Shape = "whole" if rng.random() < 0.3 else "rectangle"
        canvas.place(photo, matrix, shape, _bounds(photo), float(rng.choice((0, 0, 2, 6))))
        return canvas.finish(self.wear, rng, 3.0)

    def portrait(self, rng: np.random.Generator, side: int) -> Scene:
        """One nearly upright face, half as wide as the scene, that may have been very small: for exact landmarks."""
        if self._spots and rng.random() < 0.3:
            return self.spot(rng, side)
        canvas = Canvas(self.background(rng, side))
        photo = self._any(rng, self.crops if rng.random() < 0.7 else self.photos)
        if not len(photo.boxes):
            return canvas.finish(self.wear, rng, 3.0)
        width = side * rng.uniform(0.36, 0.64)
        centre = side / 2 + rng.normal(0, 0.04 * side, 2)
        matrix = self._aim(photo, 0, width, centre, rng.normal(0, 8), rng)
        canvas.place(photo, matrix, "rectangle", _bounds(photo), float(rng.choice((0, 3, 8))))
        return canvas.finish(self.wear, rng, 1.3 if rng.random() < 0.35 else width / 7.5)

    def spot(self, rng: np.random.Generator, side: int) -> Scene:
        """Something small and striking in a photo, a pin or a button, as large as a portrait would show a face."""
        photo, x, y, size = self._any_spot(rng)
        canvas = Canvas(np.zeros((side, side, 3), np.uint8))
        scale, centre = side * rng.uniform(0.15, 0.6) / size, side / 2 + rng.normal(0, 0.05 * side, 2)
        matrix = similarity(scale, rng.normal(0, 20), rng.random() < 0.5, np.array([x, y]), centre)
        canvas.place(photo, matrix, "whole", _bounds(photo), 0)
        return canvas.finish(self.wear, rng, 3.0)

    def _any_spot(self, rng: np.random.Generator) -> tuple[LabelledPhoto, float, float, float]:
        spots = self._mistakes if self._mistakes and rng.random() < 0.5 else self._spots
        return spots[int(rng.integers(len(spots)))]

    def group(self, rng: np.random.Generator) -> Scene:
        """Up to fourteen faces of any size scattered over a background, mostly without overlap."""
        canvas = Canvas(self.background(rng, self.side))
        largest = 24 * (0.5 * self.side / 24) ** rng.random()
        for _ in range(int(rng.integers(1, 15))):
            photo = self._any(rng, self.crops if rng.random() < 0.7 else self.photos)
            if not len(photo.boxes):
                continue
            width = 9 * (largest / 9) ** rng.random()
            face = int(rng.integers(len(photo.boxes)))
            region = _around(photo, face, rng)
            matrix = self._free_place(canvas, photo, face, width, rng)
            if matrix is not None:
                shape: Shape = "ellipse" if rng.random() < 0.4 else "rectangle"
                canvas.place(photo, matrix, shape, region, float(rng.choice((0, 1, 3)) * width / 40))
        if rng.random() < 0.3:
            self._scatter_features(canvas, rng)
        return canvas.finish(self.wear, rng, 2.5)

    def empty(self, rng: np.random.Generator) -> Scene:
        """No face: a background, parts of faces on it now and then."""
        canvas = Canvas(self.background(rng, self.side))
        if rng.random() < 0.5:
            self._scatter_features(canvas, rng)
        return canvas.finish(self.wear, rng, 3.0)

    def tiled(self, rng: np.random.Generator, count: int, part: Callable[[np.random.Generator, int], Scene]) -> Scene:
        """``count`` x ``count`` smaller scenes side by side."""
        side = self.side // count
        pixels = np.empty((self.side, self.side, 3), np.uint8)
        parts: list[Scene] = []
        for row in range(count):
            for column in range(count):
                tile = part(rng, side)
                offset = np.array([column * side, row * side], np.float32)
                pixels[row * side : (row + 1) * side, column * side : (column + 1) * side] = tile.pixels
                moved = tile.boxes + np.tile(offset, 2), tile.landmarks + offset
                parts.append(Scene(tile.pixels, *moved, tile.certain))
        return Scene(
            pixels,
            np.concatenate([tile.boxes for tile in parts]),
            np.concatenate([tile.landmarks for tile in parts]),
            np.concatenate([tile.certain for tile in parts]),
        )

    def background(self, rng: np.random.Generator, side: int) -> Pixels:
        """(side, side, 3) without faces, mostly a variation of one made in advance."""
        if not self._backgrounds or rng.random() < 0.15:
            return self._new_background(rng, side)
        pixels = self._backgrounds[int(rng.integers(len(self._backgrounds)))]
        top, left = rng.integers(0, self.side - side + 1, 2)
        part = pixels[top : top + side, left : left + side, rng.permutation(3) if rng.random() < 0.3 else slice(None)]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        # Mostly upright: a photo's light comes from above.
        return np.ascontiguousarray(np.rot90(part, int(rng.integers(1, 4))) if rng.random() < 0.3 else part)

    def _new_background(self, rng: np.random.Generator, side: int) -> Pixels:
        """Drawn, a face-free part of a photo, or a photo whose faces are covered."""
        kind = rng.random()
        if kind < 0.4:
            return procedural(side, rng)
        photo = self._any(rng, self.photos)
        if kind < 0.65:
            free = _face_free(photo, rng)
            if free is not None:
                return np.asarray(cv2.resize(free, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
        covered = kind < 0.85
        return self._covered(photo, rng, side) if covered else self._in_disorder(photo, rng, side)

    def _in_disorder(self, photo: LabelledPhoto, rng: np.random.Generator, side: int) -> Pixels:
        """A photo in pieces much smaller than its faces."""
        canvas = Canvas(np.zeros((side, side, 3), np.uint8))
        width = side * rng.uniform(0.15, 0.9)
        matrix = self._aim(
            photo, 0 if len(photo.boxes) else None, width, rng.uniform(0.2, 0.8, 2) * side, turn(rng), rng
        )
        canvas.place(photo, matrix, "whole", _bounds(photo), 0)
        return jigsaw(canvas.pixels, max(int(width * rng.uniform(0.1, 0.3)), 3), rng)

    def _covered(self, photo: LabelledPhoto, rng: np.random.Generator, side: int) -> Pixels:
        """A photo over the whole canvas, something else where its faces were."""
        canvas = Canvas(np.zeros((side, side, 3), np.uint8))
        width = side * rng.uniform(0.1, 0.6)
        matrix = self._aim(
            photo, 0 if len(photo.boxes) else None, width, rng.uniform(0.2, 0.8, 2) * side, turn(rng), rng
        )
        canvas.place(photo, matrix, "whole", _bounds(photo), 0)
        for box in canvas.boxes:
            centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * rng.uniform(0.55, 0.8)
            mask = np.zeros((side, side), np.uint8)
            axes = int(half[0]) + 1, int(half[1]) + 1
            cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, 255, -1)
            canvas.pixels[mask > 0] = self._filling(canvas.pixels, mask, side, rng)[mask > 0]
        return canvas.pixels

    def _filling(self, pixels: Pixels, mask: NDArray[np.uint8], side: int, rng: np.random.Generator) -> Pixels:
        """What replaces a face: a drawn texture, its mean colour, or parts of the photo in disorder."""
        kind = rng.random()
        if kind < 0.4:
            return procedural(side, rng)
        if kind < 0.7:
            colour = cv2.mean(pixels, mask)[:3]
            return np.clip(np.array(colour) + rng.normal(0, 6, (side, side, 1)), 0, 255).astype(np.uint8)
        return jigsaw(pixels, max(int(mask.any(axis=0).sum() * rng.uniform(0.12, 0.3)), 2), rng)

    def _scatter_features(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Paste single eyes, noses and mouths, and striking spots of photos: alone they are no face."""
        for _ in range(int(rng.integers(1, 6))):
            photo, point, reach = self._feature(rng)
            region = np.concatenate([point - reach, point + reach]).astype(np.float32)
            scale = rng.uniform(8, 60) / (2 * reach[0])
            target = rng.uniform(0, canvas.side, 2)
            if not _touches(canvas.boxes, np.concatenate([target, target]), -40):
                bare = LabelledPhoto(photo.name, photo.pixels, photo.boxes[:0], photo.landmarks[:0])
                matrix = similarity(scale, turn(rng), rng.random() < 0.5, point, target)
                canvas.place(bare, matrix, "rectangle", region, float(rng.uniform(0, 3)))

    def _feature(self, rng: np.random.Generator) -> tuple[LabelledPhoto, NDArray[np.float64], NDArray[np.float64]]:
        """A photo, a place in it that is part of a face or strikes the eye, and how far it reaches in x and y."""
        crop = self._any(rng, self.crops)
        if self._spots and (rng.random() < 0.5 or not len(crop.boxes)):
            photo, x, y, size = self._any_spot(rng)
            return photo, np.array([x, y]), size * rng.uniform(0.6, 1.4, 2)
        width = float(crop.boxes[0, 2] - crop.boxes[0, 0])
        return crop, crop.landmarks[0, int(rng.integers(5))].astype(np.float64), width * rng.uniform(0.12, 0.2, 2)

    def _free_place(
        self, canvas: Canvas, photo: LabelledPhoto, face: int, width: float, rng: np.random.Generator
    ) -> Matrix | None:
        """A place for a face that leaves the others visible; None if a few tries find none."""
        angle = turn(rng)
        for _ in range(4):
            centre = rng.uniform(-0.1 * width, canvas.side + 0.1 * width, 2)
            matrix = self._aim(photo, face, width, centre, angle, rng)
            if not _touches(canvas.boxes, turned_boxes(photo.boxes[face : face + 1], matrix)[0], 0.12 * width):
                return matrix
        return None

    def _aim(
        self,
        photo: LabelledPhoto,
        face: int | None,
        width: float,
        centre: NDArray[np.float64],
        angle: float,
        rng: np.random.Generator,
    ) -> Matrix:
        """The map that makes a face ``width`` wide and puts it at ``centre``; without a face, a third of the photo."""
        box = _bounds(photo) / 3 if face is None else photo.boxes[face]
        middle = (box[:2] + box[2:]) / 2
        return similarity(width / float(box[2] - box[0]), angle, rng.random() < 0.5, middle, centre)

    @staticmethod
    def _any(rng: np.random.Generator, photos: Sequence[LabelledPhoto]) -> LabelledPhoto:
        return photos[int(rng.integers(len(photos)))]


def collate(samples: Sequence[SceneSample]) -> dict[str, torch.Tensor]:
    """Scenes -> batch, F being the largest number of faces.

    Returns:
        ``pictures`` (N, 3, S, S) uint8, ``boxes`` (N, F, 4), ``landmarks`` (N, F, 10), ``kinds`` (N, F) int64: 1 a
        face, 0 uncertain, -1 no entry.
    """
    count = max(max(len(sample["boxes"]) for sample in samples), 1)
    boxes = torch.zeros(len(samples), count, 4)
    landmarks = torch.zeros(len(samples), count, 10)
    kinds = torch.full((len(samples), count), -1)
    for row, sample in enumerate(samples):
        faces = len(sample["boxes"])
        boxes[row, :faces] = sample["boxes"]
        landmarks[row, :faces] = sample["landmarks"]
        kinds[row, :faces] = sample["certain"].long()
    pictures = torch.stack([sample["picture"] for sample in samples])
    return {"pictures": pictures, "boxes": boxes, "landmarks": landmarks, "kinds": kinds}


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


def _mask(corners: NDArray[np.float64], shape: Shape, size: tuple[int, ...], feather: float) -> Floats:
    """(H, W) float32 in [0, 1]: the parallelogram of ``corners`` or the ellipse in it, with a soft edge."""
    mask = np.zeros(size, np.uint8)
    if shape == "ellipse":
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        centre, across, down = corners.mean(axis=0), (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
        corners = centre + np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * down
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
    if feather > 0.3:
        mask = cv2.GaussianBlur(mask, (0, 0), feather)
    return mask.astype(np.float32) / np.float32(255)


def _corners(box: Floats) -> Floats:
    return box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)


def _bounds(photo: LabelledPhoto) -> Floats:
    height, width = photo.pixels.shape[:2]
    return np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)


def _around(photo: LabelledPhoto, face: int, rng: np.random.Generator) -> Floats:
    """The face with some of its surroundings, within the photo."""
    box = photo.boxes[face]
    size = box[2:] - box[:2]
    reach = size * rng.uniform(0.12, 0.9, 4).reshape(2, 2)
    bounds = _bounds(photo)
    return np.concatenate([np.maximum(box[:2] - reach[0], bounds[:2]), np.minimum(box[2:] + reach[1], bounds[2:])])


def _inside(boxes: Floats, region: Floats) -> Floats:
    """(F,) share of each box that lies in ``region``."""
    overlap = np.minimum(boxes[:, 2:], region[2:]) - np.maximum(boxes[:, :2], region[:2])
    return np.clip(overlap, 0, None).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _touches(boxes: Floats, box: NDArray[np.floating], slack: float) -> bool:
    """Whether ``box`` comes nearer than ``-slack`` pixels to any of ``boxes`` (slack > 0 allows that much overlap)."""
    if not len(boxes):
        return False
    overlap = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return bool((overlap > slack).all(axis=1).any())


def salient_spots(photo: LabelledPhoto, count: int = 3) -> Floats:
    """(K, 3) x, y and size of blobs, bright or dark, outside the faces: ``count`` of each of four sizes.

    Peaks of the determinant of the Hessian (Lindeberg 1998, doi 10.1023/A:1008045108935), found at half resolution.
    """
    small = photo.pyramid[min(1, len(photo.pyramid) - 1)]
    ratio = photo.pixels.shape[1] / small.shape[1]
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    spots: list[tuple[float, float, float]] = []
    for sigma in (1.5, 2.5, 4.0, 6.0):
        smooth = cv2.GaussianBlur(gray, (0, 0), sigma)
        xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
        response = np.asarray(xx * yy - xy * xy, np.float32)
        for x1, y1, x2, y2 in np.rint(np.maximum(photo.boxes / ratio, 0)).astype(int).tolist():
            response[y1:y2, x1:x2] = 0
        for _ in range(count):
            y, x = np.unravel_index(int(response.argmax()), response.shape)
            reach = int(6 * sigma)
            response[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach] = 0
            spots.append((float(x) * ratio, float(y) * ratio, 3 * sigma * ratio))
    return np.array(spots, np.float32)


def _face_free(photo: LabelledPhoto, rng: np.random.Generator) -> Pixels | None:
    """A random part of a photo that keeps off its faces; None if a few tries find none."""
    height, width = photo.pixels.shape[:2]
    for _ in range(6):
        size = (np.array([width, height]) * rng.uniform(0.15, 0.7, 2)).astype(int)
        left, top = rng.integers(0, (width - size[0], height - size[1]))
        window = np.array([left, top, left + size[0], top + size[1]], np.float32)
        if not _touches(photo.boxes, window, 0):
            return photo.pixels[top : top + size[1], left : left + size[0]]
    return None
