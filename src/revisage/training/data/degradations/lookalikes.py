"""Parts of a photo that resemble damage and are none: letters, fences, wires, strands, whiskers, eyes, torn edges."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.print_damage import Counts
from revisage.training.data.degradations.steps import STRICT
from revisage.types import FloatImage

Draw = Callable[[NDArray[np.float32], np.random.Generator], None]


@dataclass(frozen=True, config=STRICT)
class Lookalikes:
    """Draw a number of things that belong to a photo although they are thin, small or bright."""

    count: Counts = (0, 2)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        pixels = np.ascontiguousarray(image).copy()
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            LOOKALIKES[int(rng.integers(len(LOOKALIKES)))](pixels, rng)
        return np.clip(cv2.GaussianBlur(pixels, (0, 0), 0.4), 0, 1).astype(np.float32)


def lettering(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Lines of letters in one color."""
    color, size = _draw_color(rng), float(rng.uniform(0.25, 1.3))
    font, thickness = int(rng.integers(0, 8)), int(rng.integers(1, 3))
    layer = np.zeros(pixels.shape[:2], np.uint8)
    left, top = int(rng.integers(-40, pixels.shape[1] // 2)), int(rng.integers(0, pixels.shape[0]))
    for line in range(int(rng.integers(1, 6))):
        text = "".join(chr(code) for code in rng.choice([*range(48, 58), *range(65, 91), *range(97, 123), 32], 14))
        cv2.putText(layer, text, (left, top + int(line * 34 * size)), font, size, 255, thickness, cv2.LINE_AA)
    _cover(pixels, layer, color)


def fence(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Parallel lines at equal distances, in one direction or two."""
    color, thickness = _draw_color(rng), int(rng.integers(1, 3))
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 32)
    for direction in (angle, angle + rng.uniform(1.0, 2.1))[: int(rng.integers(1, 3))]:
        for place in np.arange(-1.0, 1.0, period / max(pixels.shape[:2])):
            _straight(pixels, place * max(pixels.shape[:2]), direction, color, thickness)


def wires(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """A few even lines from border to border, such as cables and edges of furniture."""
    color, thickness = _draw_color(rng), int(rng.integers(1, 4))
    for _ in range(int(rng.integers(1, 4))):
        _straight(pixels, rng.uniform(-0.4, 0.4) * max(pixels.shape[:2]), rng.uniform(0, np.pi), color, thickness)


def strands(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Many nearly parallel curves of like colors: hair, fur, grass."""
    color = np.array(_draw_color(rng))
    start, angle = rng.uniform(0, pixels.shape[1], 2), rng.uniform(0, 2 * np.pi)
    spread, bend = rng.uniform(3, 40), rng.normal(0, 0.06)
    for _ in range(int(rng.integers(10, 60))):
        turns = angle + rng.normal(0, 0.15) + np.cumsum(np.full(14, bend + rng.normal(0, 0.02)))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * rng.uniform(2, 8)
        _curve(pixels, start + rng.normal(0, spread, 2) + np.cumsum(steps, axis=0), color + rng.normal(0, 0.06))


def whiskers(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """A few smooth curves that fan out of one place, also lashes."""
    color, start = np.array(_draw_color(rng)), rng.uniform(0, pixels.shape[1], 2)
    angle, length, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 6), rng.normal(0, 0.06)
    for place in range(int(rng.integers(4, 14))):
        turns = angle + 0.15 * place + np.cumsum(np.full(12, bend))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * length
        origin = start + np.array([np.sin(angle), -np.cos(angle)]) * place * length * rng.uniform(0.3, 0.8)
        _curve(pixels, origin + np.cumsum(steps, axis=0), color)


def eyes(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Dark disks with catchlights, alone or in pairs; also beads, buttons and buckles."""
    radius = rng.uniform(2, 12)
    x, y = rng.uniform(0, pixels.shape[1], 2)
    dark, iris, lid = rng.uniform(0, 0.25), rng.uniform(0.1, 0.5, 3), rng.uniform(0.5, 0.95)
    light = rng.uniform(-0.4, 0.4, 2) * radius
    for shift in (0.0, rng.uniform(3.5, 6) * radius)[: int(rng.integers(1, 3))]:
        if rng.random() < 0.6:
            _disk(pixels, x + shift, y, 1.9 * radius, (lid,) * 3, flat=0.55)
        _disk(pixels, x + shift, y, radius, tuple(iris.tolist()))
        _disk(pixels, x + shift, y, 0.5 * radius, (dark,) * 3)
        for _ in range(int(rng.integers(1, 3))):
            spot = light + rng.normal(0, 0.1, 2) * radius
            _disk(
                pixels,
                x + shift + spot[0],
                y + spot[1],
                max(rng.uniform(0.1, 0.35) * radius, 0.5),
                (rng.uniform(0.8, 1),) * 3,
            )


def dots(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Equal dots in rows: fabric, lamps, rivets, pearls."""
    color, radius = _draw_color(rng), rng.uniform(0.7, 4)
    period, (x, y) = radius * rng.uniform(2.5, 6), rng.uniform(0, 20, 2)
    rows = 1 if rng.random() < 0.4 else 40
    layer = np.zeros(pixels.shape[:2], np.uint8)
    for row in range(rows):
        for column in range(40):
            center = round(16 * (x + column * period)), round(16 * (y + (row + 3 * (rows == 1)) * period))
            cv2.circle(layer, center, round(16 * radius), 255, -1, cv2.LINE_AA, 4)
    _cover(pixels, layer, color)


def torn_edge(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """A corner or margin of paper, with an uneven outline: too large to be filled."""
    turns = int(rng.integers(4))
    turned = np.rot90(pixels, turns)  # shows the same pixels
    height, width = turned.shape[:2]
    reach, count = rng.uniform(0.1, 0.7) * width, 24
    depth = reach * np.linspace(1, rng.uniform(0, 1), count) + np.cumsum(rng.normal(0, 1.2, count))
    points = np.stack([np.linspace(0, rng.uniform(0.4, 1) * width, count), depth], axis=1)
    outline = np.concatenate([points, [[points[-1, 0], -5], [-5, -5]]])
    layer = np.zeros((height, width), np.uint8)
    cv2.fillPoly(layer, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    _cover(turned, layer, _draw_color(rng))


def stain(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    """A soft blot, darker at its rim: no pixel of the photo is lost."""
    height, width = pixels.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    center, radius = rng.uniform(0, (width, height)), rng.uniform(8, 60)
    distance = np.hypot(x - center[0], y - center[1]) / radius + 0.1 * np.sin(
        np.arctan2(y - center[1], x - center[0]) * 3
    )
    alpha = 1 / (1 + np.exp((distance - 1) * rng.uniform(8, 30))) * (0.4 + 0.6 * np.clip(distance, 0, 1) ** 6)
    pixels *= 1 - np.float32(rng.uniform(0.1, 0.5)) * alpha[..., None] * np.array([0.5, 0.8, 1.0], np.float32)


LOOKALIKES: tuple[Draw, ...] = (lettering, fence, wires, strands, whiskers, eyes, eyes, dots, torn_edge, stain)


def _draw_color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Dark or bright, mostly nearly gray."""
    level = rng.uniform(0, 0.3) if rng.random() < 0.5 else rng.uniform(0.6, 1)
    r, g, b = np.clip(level + rng.normal(0, 0.25 if rng.random() < 0.3 else 0.03, 3), 0, 1).tolist()
    return r, g, b


def _straight(
    pixels: NDArray[np.float32], place: float, angle: float, color: tuple[float, float, float], thickness: int
) -> None:
    """A line across the image, ``place`` pixels beside its middle."""
    height, width = pixels.shape[:2]
    along = np.array([np.cos(angle), np.sin(angle)])
    middle = np.array([width / 2, height / 2]) + place * np.array([-along[1], along[0]])
    _curve(pixels, np.stack([middle - 2 * width * along, middle + 2 * width * along]), np.array(color), thickness)


def _curve(
    pixels: NDArray[np.float32], points: NDArray[np.float64], color: NDArray[np.float64], thickness: int = 1
) -> None:
    """A smooth line."""
    layer = np.zeros(pixels.shape[:2], np.uint8)
    cv2.polylines(layer, [np.rint(points * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
    _cover(pixels, layer, np.clip(color, 0, 1))


def _disk(
    pixels: NDArray[np.float32], x: float, y: float, radius: float, color: tuple[float, ...], flat: float = 1.0
) -> None:
    """A smooth disk, or an ellipse whose height is ``flat`` of its width."""
    layer = np.zeros(pixels.shape[:2], np.uint8)
    center, axes = (round(x * 16), round(y * 16)), (round(radius * 16), round(radius * flat * 16))
    cv2.ellipse(layer, center, axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
    _cover(pixels, layer, color)


def _cover(
    pixels: NDArray[np.float32], layer: NDArray[np.uint8], color: tuple[float, ...] | NDArray[np.float64]
) -> None:
    """Mix with a color where ``layer`` is bright; OpenCV smoothes what it draws in 8 bits only."""
    alpha = layer[..., None].astype(np.float32) / np.float32(255)
    pixels += alpha * (np.array(color, np.float32) - pixels)
