"""Backgrounds without faces: drawn patterns, shapes and letters, alone or mixed, and photos in disorder."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def procedural(side: int, rng: np.random.Generator) -> Pixels:
    """(side, side, 3) uint8: one pattern in random colours, often shapes or letters over it."""
    patterns: tuple[Callable[[int, np.random.Generator], Floats], ...] = (clouds, clouds, gradient, waves, tiles, flat)
    field = patterns[int(rng.integers(len(patterns)))](side, rng)
    if rng.random() < 0.4:
        field = 0.5 * (field + patterns[int(rng.integers(len(patterns)))](side, rng))
    dark, bright = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if rng.random() < 0.3:  # skin-like hues: colour alone must not make a face
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


def jigsaw(pixels: Pixels, step: int, rng: np.random.Generator) -> Pixels:
    """A picture cut into squares of ``step`` pixels that change places and are mirrored at random.

    All that a photo consists of stays in it, except anything larger than a square.
    """
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
    field = _stretched(field)
    return (field > rng.uniform(0.35, 0.65)).astype(np.float32) if rng.random() < 0.15 else field


def gradient(side: int, rng: np.random.Generator) -> Floats:
    """A smooth ramp or a round glow."""
    x, y = _mesh(side)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        return _stretched(np.cos(angle) * x + np.sin(angle) * y)
    cx, cy = rng.uniform(0, 1, 2)
    return _stretched(np.hypot(x - cx, (y - cy) * rng.uniform(0.5, 2)))


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
        colour = tuple(float(value) for value in rng.uniform(0, 255, 3))
        x, y = (int(value) for value in rng.integers(0, side, 2))
        size = max(int(side * rng.uniform(0.01, 0.25) ** 1.3), 1)
        thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, 5))
        kind = rng.random()
        if kind < 0.25:
            cv2.circle(pixels, (x, y), size, colour, thickness, cv2.LINE_AA)
        elif kind < 0.5:
            axes = size, max(int(size * rng.uniform(0.3, 1)), 1)
            cv2.ellipse(pixels, (x, y), axes, rng.uniform(0, 180), 0, 360, colour, thickness, cv2.LINE_AA)
        elif kind < 0.65:
            cv2.rectangle(pixels, (x, y), (x + size, y + int(size * rng.uniform(0.3, 2))), colour, thickness)
        elif kind < 0.8:
            end = tuple(int(value) for value in rng.integers(0, side, 2))
            cv2.line(pixels, (x, y), end, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
        else:
            gap, radius = max(int(size * rng.uniform(1, 3)), 3), max(size // 4, 1)
            for step in range(int(rng.integers(2, 5))):
                cv2.circle(pixels, (x + step * gap, y), radius, colour, -1, cv2.LINE_AA)


def draw_letters(pixels: Pixels, rng: np.random.Generator) -> None:
    """Lines of random letters."""
    side = pixels.shape[0]
    for _ in range(int(rng.integers(1, 6))):
        text = "".join(chr(code) for code in rng.integers(48, 123, int(rng.integers(2, 14))))
        colour = tuple(float(value) for value in rng.uniform(0, 255, 3))
        where = int(rng.integers(-side // 4, side)), int(rng.integers(0, side))
        font = int(rng.integers(0, 8))
        cv2.putText(pixels, text, where, font, rng.uniform(0.3, 2.5), colour, int(rng.integers(1, 4)), cv2.LINE_AA)


def draw_page(pixels: Pixels, rng: np.random.Generator) -> None:
    """Lines of small print from edge to edge."""
    side, scale = pixels.shape[0], rng.uniform(0.25, 0.8)
    colour = (0.0, 0.0, 0.0) if rng.random() < 0.5 else tuple(float(value) for value in rng.uniform(0, 255, 3))
    font, weight = int(rng.integers(0, 8)), int(rng.integers(1, 3))
    for y in range(0, side + 10, max(int(scale * rng.uniform(24, 40)), 6)):
        text = "".join(chr(code) for code in rng.integers(48, 123, 80))
        for gap in rng.integers(0, 80, 12):
            text = text[:gap] + " " + text[gap + 1 :]
        cv2.putText(pixels, text, (int(rng.integers(-20, 5)), y), font, scale, colour, weight, cv2.LINE_AA)


def draw_pebbles(pixels: Pixels, rng: np.random.Generator) -> None:
    """Many overlapping shaded ellipses: stones, cells, leaves, coins."""
    side, tint = pixels.shape[0], rng.uniform(60, 220, 3)
    size = side * rng.uniform(0.01, 0.08)
    for _ in range(min(int(1.2 * (side / size) ** 2 / 4), 700)):
        x, y = (int(value) for value in rng.integers(0, side, 2))
        axes = max(int(size * rng.uniform(0.5, 1.5)), 1), max(int(size * rng.uniform(0.5, 1.5)), 1)
        colour = tuple(float(value) for value in np.clip(tint + rng.normal(0, 45), 0, 255))
        angle = rng.uniform(0, 180)
        cv2.ellipse(pixels, (x, y), axes, angle, 0, 360, tuple(0.5 * value for value in colour), -1, cv2.LINE_AA)
        lit = x - axes[0] // 6, y - axes[1] // 5
        inner = max(axes[0] * 4 // 5, 1), max(axes[1] * 4 // 5, 1)
        cv2.ellipse(pixels, lit, inner, angle, 0, 360, colour, -1, cv2.LINE_AA)


def draw_grass(pixels: Pixels, rng: np.random.Generator) -> None:
    """Many short strokes of much the same direction and colour: grass, hair, bark."""
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


def _stretched(field: Floats) -> Floats:
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)
