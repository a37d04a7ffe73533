"""Backgrounds without faces: drawn patterns, shapes and letters; photos with faces avoided, covered or in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.training.embedded.canvas import Canvas, aim, bounds, draw_angle, overlaps
from revisage.training.embedded.labeled_photos import Floats, LabeledPhoto, Pixels


class SceneBackgrounds:
    """Backgrounds without faces, made of ``photos`` beside drawn textures; ``count`` of ``side`` pixels in advance."""

    def __init__(self, photos: Sequence[LabeledPhoto], side: int, count: int, rng: np.random.Generator) -> None:
        self._photos = photos
        self._side = side
        self._made = [make_background(photos, side, rng) for _ in range(count)]

    def __call__(self, rng: np.random.Generator, side: int) -> Pixels:
        """(side, side, 3) without faces, mostly a variation of one made in advance."""
        if not self._made or rng.random() < 0.15:
            return make_background(self._photos, side, rng)
        pixels = self._made[int(rng.integers(len(self._made)))]
        top, left = rng.integers(0, self._side - side + 1, 2)
        part = pixels[top : top + side, left : left + side, rng.permutation(3) if rng.random() < 0.3 else slice(None)]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        # Mostly upright: a photo's light comes from above.
        return np.ascontiguousarray(np.rot90(part, int(rng.integers(1, 4))) if rng.random() < 0.3 else part)


def make_background(photos: Sequence[LabeledPhoto], side: int, rng: np.random.Generator) -> Pixels:
    """Drawn, a face-free part of a photo, or a photo whose faces are covered."""
    kind = rng.random()
    if kind < 0.4:
        return draw_pattern(side, rng)
    photo = photos[int(rng.integers(len(photos)))]
    if kind < 0.65:
        free = _cut_face_free(photo, rng)
        if free is not None:
            return np.asarray(cv2.resize(free, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    covered = kind < 0.85
    return _cover_faces(photo, rng, side) if covered else _shuffle_photo(photo, rng, side)


def _shuffle_photo(photo: LabeledPhoto, rng: np.random.Generator, side: int) -> Pixels:
    """A photo in pieces much smaller than its faces."""
    canvas = Canvas(np.zeros((side, side, 3), np.uint8))
    width = side * rng.uniform(0.15, 0.9)
    matrix = aim(photo, 0 if len(photo.boxes) else None, width, rng.uniform(0.2, 0.8, 2) * side, draw_angle(rng), rng)
    canvas.place(photo, matrix, "whole", bounds(photo), 0)
    return shuffle_tiles(canvas.pixels, max(int(width * rng.uniform(0.1, 0.3)), 3), rng)


def _cover_faces(photo: LabeledPhoto, rng: np.random.Generator, side: int) -> Pixels:
    """A photo over the whole canvas, something else where its faces were."""
    canvas = Canvas(np.zeros((side, side, 3), np.uint8))
    width = side * rng.uniform(0.1, 0.6)
    matrix = aim(photo, 0 if len(photo.boxes) else None, width, rng.uniform(0.2, 0.8, 2) * side, draw_angle(rng), rng)
    canvas.place(photo, matrix, "whole", bounds(photo), 0)
    for box in canvas.boxes:
        center, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * rng.uniform(0.55, 0.8)
        mask = np.zeros((side, side), np.uint8)
        axes = int(half[0]) + 1, int(half[1]) + 1
        cv2.ellipse(mask, (int(center[0]), int(center[1])), axes, 0, 0, 360, 255, -1)
        canvas.pixels[mask > 0] = _draw_filling(canvas.pixels, mask, side, rng)[mask > 0]
    return canvas.pixels


def _draw_filling(pixels: Pixels, mask: NDArray[np.uint8], side: int, rng: np.random.Generator) -> Pixels:
    """A replacement for a face: a drawn texture, its mean color, or parts of the photo in disorder."""
    kind = rng.random()
    if kind < 0.4:
        return draw_pattern(side, rng)
    if kind < 0.7:
        color = cv2.mean(pixels, mask)[:3]
        return np.clip(np.array(color) + rng.normal(0, 6, (side, side, 1)), 0, 255).astype(np.uint8)
    return shuffle_tiles(pixels, max(int(mask.any(axis=0).sum() * rng.uniform(0.12, 0.3)), 2), rng)


def _cut_face_free(photo: LabeledPhoto, rng: np.random.Generator) -> Pixels | None:
    """A random part of a photo that keeps off its faces; None if a few tries find none."""
    height, width = photo.pixels.shape[:2]
    for _ in range(6):
        size = (np.array([width, height]) * rng.uniform(0.15, 0.7, 2)).astype(int)
        left, top = rng.integers(0, (width - size[0], height - size[1]))
        window = np.array([left, top, left + size[0], top + size[1]], np.float32)
        if not overlaps(photo.boxes, window, 0):
            return photo.pixels[top : top + size[1], left : left + size[0]]
    return None


def draw_pattern(side: int, rng: np.random.Generator) -> Pixels:
    """(side, side, 3) uint8: one pattern in random colors, often shapes or letters over it."""
    patterns: tuple[Callable[[int, np.random.Generator], Floats], ...] = (clouds, clouds, gradient, waves, tiles, flat)
    field = patterns[int(rng.integers(len(patterns)))](side, rng)
    if rng.random() < 0.4:
        field = 0.5 * (field + patterns[int(rng.integers(len(patterns)))](side, rng))
    dark, bright = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if rng.random() < 0.3:  # skin-like hues: color alone must not make a face
        bright = np.array([225, 175, 150]) * rng.uniform(0.4, 1.1) + rng.normal(0, 10, 3)
    pixels = np.clip(dark + field[..., None] * (bright - dark), 0, 255).astype(np.uint8)
    for share, draw in (
        (0.4, draw_shapes),
        (0.15, draw_letters),
        (0.1, draw_page),
        (0.15, draw_pebbles),
        (0.1, draw_grass),
    ):
        if rng.random() < share:
            draw(pixels, rng)
    return pixels


def shuffle_tiles(pixels: Pixels, step: int, rng: np.random.Generator) -> Pixels:
    """An image cut into squares of ``step`` pixels that change places and are mirrored; nothing larger stays."""
    side = pixels.shape[0]
    count = -(-side // step)
    padded = cv2.copyMakeBorder(pixels, 0, count * step - side, 0, count * step - side, cv2.BORDER_REFLECT_101)
    squares = padded.reshape(count, step, count, step, 3).swapaxes(1, 2).reshape(-1, step, step, 3)
    squares = squares[rng.permutation(len(squares))]
    half = len(squares) // 2
    squares = np.concatenate([squares[:half, :, ::-1], squares[half:, ::-1]])
    squares = squares[rng.permutation(len(squares))].reshape(count, count, step, step, 3)
    return np.asarray(
        np.ascontiguousarray(squares.swapaxes(1, 2).reshape(count * step, count * step, 3)[:side, :side]), np.uint8
    )


def clouds(side: int, rng: np.random.Generator) -> Floats:
    """Noise of several octaves in [0, 1]: from clouds to gravel, by how fast the octaves fade."""
    fade = rng.uniform(0.35, 1.1)
    field = np.zeros((side, side), np.float32)
    weight, cells = 1.0, int(rng.integers(2, 7))
    while cells <= side:
        octave = rng.random((cells, cells), dtype=np.float32)
        field += weight * np.asarray(cv2.resize(octave, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
        weight, cells = weight * fade, cells * 2
    field = _stretch(field)
    return (field > rng.uniform(0.35, 0.65)).astype(np.float32) if rng.random() < 0.15 else field


def gradient(side: int, rng: np.random.Generator) -> Floats:
    """A smooth ramp or a round glow."""
    x, y = _mesh(side)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        return _stretch(np.cos(angle) * x + np.sin(angle) * y)
    cx, cy = rng.uniform(0, 1, 2)
    return _stretch(np.hypot(x - cx, (y - cy) * rng.uniform(0.5, 2)))


def waves(side: int, rng: np.random.Generator) -> Floats:
    """Stripes, straight, bent or in rings, soft or hard."""
    x, y = _mesh(side)
    angle, count = rng.uniform(0, 2 * np.pi), 2 * 25 ** rng.random()
    along = np.cos(angle) * x + np.sin(angle) * y
    if rng.random() < 0.4:
        along = along + rng.uniform(0.02, 0.2) * np.sin(2 * np.pi * rng.uniform(1, 6) * (y - x))
    if rng.random() < 0.3:
        along = np.hypot(x - rng.random(), y - rng.random())
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * count * along)
    return (stripes > rng.uniform(0.2, 0.8)).astype(np.float32) if rng.random() < 0.4 else stripes.astype(np.float32)


def tiles(side: int, rng: np.random.Generator) -> Floats:
    """Rectangles of random brightness: chequers, bricks, windows."""
    rows, columns = rng.integers(2, 24, 2)
    field = rng.random((int(rows), int(columns)), dtype=np.float32)
    if rng.random() < 0.3:
        field = (np.indices(field.shape).sum(axis=0) % 2).astype(np.float32)
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_NEAREST), np.float32)


def flat(side: int, rng: np.random.Generator) -> Floats:
    """One value with a little grain."""
    return np.clip(rng.random() + rng.normal(0, 0.02, (side, side)), 0, 1).astype(np.float32)


def draw_shapes(pixels: Pixels, rng: np.random.Generator) -> None:
    """Circles, ellipses, boxes and lines; dots come in pairs and rows too, like eyes, buttons and coins."""
    side = pixels.shape[0]
    for _ in range(int(rng.integers(1, 14))):
        color = tuple(float(value) for value in rng.uniform(0, 255, 3))
        x, y = (int(value) for value in rng.integers(0, side, 2))
        size = max(int(side * rng.uniform(0.01, 0.25) ** 1.3), 1)
        thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, 5))
        kind = rng.random()
        if kind < 0.25:
            cv2.circle(pixels, (x, y), size, color, thickness, cv2.LINE_AA)
        elif kind < 0.5:
            axes = size, max(int(size * rng.uniform(0.3, 1)), 1)
            cv2.ellipse(pixels, (x, y), axes, rng.uniform(0, 180), 0, 360, color, thickness, cv2.LINE_AA)
        elif kind < 0.65:
            cv2.rectangle(pixels, (x, y), (x + size, y + int(size * rng.uniform(0.3, 2))), color, thickness)
        elif kind < 0.8:
            end = tuple(int(value) for value in rng.integers(0, side, 2))
            cv2.line(pixels, (x, y), end, color, int(rng.integers(1, 6)), cv2.LINE_AA)
        else:
            gap, radius = max(int(size * rng.uniform(1, 3)), 3), max(size // 4, 1)
            for step in range(int(rng.integers(2, 5))):
                cv2.circle(pixels, (x + step * gap, y), radius, color, -1, cv2.LINE_AA)


def draw_letters(pixels: Pixels, rng: np.random.Generator) -> None:
    """Lines of random letters."""
    side = pixels.shape[0]
    for _ in range(int(rng.integers(1, 6))):
        text = "".join(chr(code) for code in rng.integers(48, 123, int(rng.integers(2, 14))))
        color = tuple(float(value) for value in rng.uniform(0, 255, 3))
        where = int(rng.integers(-side // 4, side)), int(rng.integers(0, side))
        font = int(rng.integers(0, 8))
        cv2.putText(pixels, text, where, font, rng.uniform(0.3, 2.5), color, int(rng.integers(1, 4)), cv2.LINE_AA)


def draw_page(pixels: Pixels, rng: np.random.Generator) -> None:
    """Lines of small print from edge to edge."""
    side, scale = pixels.shape[0], rng.uniform(0.25, 0.8)
    color = (0.0, 0.0, 0.0) if rng.random() < 0.5 else tuple(float(value) for value in rng.uniform(0, 255, 3))
    font, weight = int(rng.integers(0, 8)), int(rng.integers(1, 3))
    for y in range(0, side + 10, max(int(scale * rng.uniform(24, 40)), 6)):
        text = "".join(chr(code) for code in rng.integers(48, 123, 80))
        for gap in rng.integers(0, 80, 12):
            text = text[:gap] + " " + text[gap + 1 :]
        cv2.putText(pixels, text, (int(rng.integers(-20, 5)), y), font, scale, color, weight, cv2.LINE_AA)


def draw_pebbles(pixels: Pixels, rng: np.random.Generator) -> None:
    """Many overlapping shaded ellipses: stones, cells, leaves, coins."""
    side, tint = pixels.shape[0], rng.uniform(60, 220, 3)
    size = side * rng.uniform(0.01, 0.08)
    for _ in range(min(int(1.2 * (side / size) ** 2 / 4), 700)):
        x, y = (int(value) for value in rng.integers(0, side, 2))
        axes = max(int(size * rng.uniform(0.5, 1.5)), 1), max(int(size * rng.uniform(0.5, 1.5)), 1)
        color = tuple(float(value) for value in np.clip(tint + rng.normal(0, 45), 0, 255))
        angle = rng.uniform(0, 180)
        cv2.ellipse(pixels, (x, y), axes, angle, 0, 360, tuple(0.5 * value for value in color), -1, cv2.LINE_AA)
        lit = x - axes[0] // 6, y - axes[1] // 5
        inner = max(axes[0] * 4 // 5, 1), max(axes[1] * 4 // 5, 1)
        cv2.ellipse(pixels, lit, inner, angle, 0, 360, color, -1, cv2.LINE_AA)


def draw_grass(pixels: Pixels, rng: np.random.Generator) -> None:
    """Many short strokes of much the same direction and color: grass, hair, bark."""
    side, tint = pixels.shape[0], rng.uniform(30, 220, 3)
    direction, spread, length = rng.uniform(0, np.pi), rng.uniform(0.1, 1.2), side * rng.uniform(0.02, 0.15)
    starts = rng.integers(0, side, (500, 2))
    angles = direction + rng.normal(0, spread, 500)
    ends = starts + length * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shades = np.clip(tint + rng.normal(0, 40, (500, 1)), 0, 255)
    width = int(rng.integers(1, 4))
    for start, end, shade in zip(starts.tolist(), ends.astype(int).tolist(), shades.tolist(), strict=True):
        cv2.line(pixels, start, end, shade, width, cv2.LINE_AA)


def _mesh(side: int) -> tuple[Floats, Floats]:
    axis = np.linspace(0, 1, side, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _stretch(field: Floats) -> Floats:
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)
