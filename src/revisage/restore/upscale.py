"""Background: the whole image enlarged, by Lanczos or by a network in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import DeviceError, InputError, WeightsError
from revisage.images.pixels import from_float, to_float
from revisage.types import Array, FloatImage, Image

MAX_SCALE = 8.0
Upscale: TypeAlias = Callable[[Image, float], Image]
"""(image, scale) -> enlarged image of the same dtype, pixel centers at x' = scale x + (scale - 1) / 2. The
image itself, or an array that the caller may change."""


def lanczos(image: Image, scale: float) -> Image:
    """(H, W, 3) of any dtype -> (round(H * scale), round(W * scale), 3), same dtype.

    Lanczos over 8 x 8 pixels to enlarge, area averages to shrink. Pixel centers map as
    x' = scale * x + (scale - 1) / 2, exactly, also where the new size had to be rounded. Scale 1 returns the
    image itself.

    Raises:
        InputError: ``scale`` is not in (0, 8], or nothing would be left.
    """
    scaled_size(image, scale)
    if scale == 1:
        return image
    method = cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
    # Giving the factors rather than the size keeps the mapping exact.
    enlarged = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
    if image.dtype == np.float32:
        enlarged = np.clip(enlarged, 0, 1)  # Lanczos overshoots; integers are clipped by OpenCV itself
    return enlarged.astype(image.dtype, copy=False)


def scaled_size(image: Image, scale: float) -> tuple[int, int]:
    """(height, width) of a image at a scale.

    Raises:
        InputError: ``scale`` is not in (0, 8], or nothing would be left.
    """
    if not 0 < scale <= MAX_SCALE:
        raise InputError(f"scale must be above 0 and at most {MAX_SCALE:g}, not {scale:g}")
    height, width = image.shape[:2]
    size = round(height * scale), round(width * scale)
    if 0 in size:
        raise InputError(f"nothing would be left of a {width} x {height} image at scale {scale:g}")
    return size


MIN_TILE = 64
"""Side of the smallest tiles; below, little but overlap would be computed."""
STEP = 16
"""Tiles begin at multiples of this, as networks need that work on smaller images of more channels."""
ROWS = 64
"""Rows of a result that are rounded at a time."""


@dataclass(frozen=True, slots=True)
class Window:
    """A row or column of tiles.

    Attributes:
        start: first pixel that the network sees.
        stop: the one after the last.
        own_start: first pixel that the result takes from these tiles; there they fade in.
        own_stop: the one after the last.
    """

    start: int
    stop: int
    own_start: int
    own_stop: int


@dataclass(frozen=True)
class TiledUpscaler:
    """Background upscaler by a network. Stateless; any number of threads may share one.

    Tiles see at least ``overlap`` pixels around what the result takes from them. Within ``fade`` pixels of their common
    border one tile fades into the next. A network whose receptive field is within ``overlap - fade`` pixels returns the
    same as without tiles.

    Attributes:
        network: (1, 3, H, W) float32 RGB in [0, 1], H and W multiples of ``STEP`` -> (1, 3, factor * H, factor * W),
            an array that may be changed; raises MemoryError where memory is short.
        factor: how much the network enlarges.
        tile: side of square tiles in pixels of the image, without their overlap; others have about the same area. 0
            takes the image whole. Halved, down to ``MIN_TILE``, where memory is short.
        overlap: see above; at most ``MIN_TILE``.
        fade: see above; at most ``overlap``.
    """

    network: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    factor: int
    tile: int = 432
    overlap: int = 32
    fade: int = 16

    def __post_init__(self) -> None:
        check_tile(self.tile)

    def __call__(self, image: Image, scale: float) -> Image:
        """Enlarge; to other scales than the network's own by Lanczos or area averages of its result.

        Args:
            image: (H, W, 3) RGB uint8, uint16 or float32 in [0, 1].
            scale: sides of the result over sides of the image.

        Returns:
            (round(H * scale), round(W * scale), 3) of the same dtype; pixel centers at x' = scale x + (scale - 1) / 2.

        Raises:
            InputError: ``scale`` is not in (0, 8], or nothing would be left.
            DeviceError: not even the smallest tiles find room in memory.
            WeightsError: the network gives values that are not finite.
        """
        height, width = scaled_size(image, scale)
        reduction = int(self.factor / scale) if (self.factor / scale).is_integer() else 1
        reduction = reduction if self.factor % reduction == 0 else 1
        # Both maps of pixel centers, one after the other, are the one that is promised.
        resized = lanczos(self._enlarge(image, reduction), scale * reduction / self.factor)[:height, :width]
        missing = height - resized.shape[0], width - resized.shape[1]  # a pixel where halves are rounded the other way
        return np.pad(resized, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else resized

    def _enlarge(self, image: Image, reduction: int) -> Image:
        """The image at ``factor / reduction``, with the largest tiles that find room."""
        height, width = (side_of_tiles(length, 1, 0) for length in image.shape[:2])
        whole = max(math.ceil(math.sqrt(height * width)) - 2 * self.overlap, MIN_TILE)
        tile = min(self.tile or whole, whole)
        while True:
            try:
                return self._in_tiles(image, tile, reduction)
            except MemoryError as error:
                if tile <= MIN_TILE:
                    raise DeviceError(f"not enough memory for tiles of {tile} pixels") from error
            tile = max(tile // 2, MIN_TILE)

    def _in_tiles(self, image: Image, tile: int, reduction: int) -> Image:
        """The image at ``factor``, reduced piece by piece by a divisor of it, with tiles of one size."""
        height, width = image.shape[:2]
        result = np.empty((height * self.factor // reduction, width * self.factor // reduction, 3), image.dtype)
        shared = 2 * self.fade * self.factor  # pixels of an enlarged tile that it and its neighbor have in common
        ramp = _ramp(shared)[:, None, None]
        tail: Array = np.empty((shared, width * self.factor, 3), np.float32)  # the last rows, not blended yet
        all_rows, columns = choose_grid(height, width, tile, self.overlap)
        top = 0
        for rows in all_rows:
            left, done = 0, 0
            for block in join_seamless((self._piece(image, rows, part) for part in columns), shared):
                above = tail[:, left : left + block.shape[1]]
                if rows.own_start:
                    block[:shared] = above + ramp * (block[:shared] - above)
                done = len(block)
                if rows.own_stop < height:
                    done -= shared
                    above[:] = block[done:]
                _write(block[:done], result, top, left, reduction)
                left += block.shape[1]
            top += done
        return result

    def _piece(self, image: Image, rows: Window, columns: Window) -> FloatImage:
        """An enlarged tile without its context, (h, w, 3) in [0, 1]; the caller may change it."""
        enlarged = self._network_on(to_float(image[rows.start : rows.stop, columns.start : columns.stop]))
        (y1, y2), (x1, x2) = (
            (max(part.own_start - self.fade, 0), min(part.own_stop + self.fade, length))
            for part, length in zip((rows, columns), image.shape, strict=False)
        )
        y1, y2, x1, x2 = y1 - rows.start, y2 - rows.start, x1 - columns.start, x2 - columns.start
        return enlarged[y1 * self.factor : y2 * self.factor, x1 * self.factor : x2 * self.factor]

    def _network_on(self, window: FloatImage) -> FloatImage:
        """(H, W, 3) in [0, 1] -> (factor * H, factor * W, 3) in [0, 1]."""
        height, width = window.shape[:2]
        padded = np.pad(window, ((0, -height % STEP), (0, -width % STEP), (0, 0)), mode="edge")
        output = self.network(np.ascontiguousarray(padded.transpose(2, 0, 1)[None]))
        if not np.isfinite(output).all():
            raise WeightsError("the background upscaler returns values that are not finite; choose another")
        image = np.clip(output[0], 0, 1, out=output[0]).transpose(1, 2, 0)
        return image[: height * self.factor, : width * self.factor]


def check_tile(tile: int) -> None:
    """Raise InputError unless tiles may have this side."""
    if tile != 0 and tile < MIN_TILE:
        raise InputError(f"tiles have at least {MIN_TILE} pixels, or 0 for the whole image, not {tile}")


def _write(block: FloatImage, result: Image, top: int, left: int, reduction: int) -> None:
    """Round a block, reduce it and write it into the result; ``top`` and ``left`` count before the reduction."""
    columns = slice(left // reduction, (left + block.shape[1]) // reduction)
    for start in range(0, len(block), ROWS):  # few rows at a time stay in the processor's cache
        rows = lanczos(from_float(block[start : start + ROWS], result.dtype), 1 / reduction)
        first = (top + start) // reduction
        result[first : first + len(rows), columns] = rows


def choose_grid(height: int, width: int, tile: int, overlap: int) -> tuple[list[Window], list[Window]]:
    """Rows and columns of the grid with the least overlap, of tiles no larger than a square one with its overlap.

    Args:
        height: of the image.
        width: of the image.
        tile: side of that square without its overlap.
        overlap: pixels that a tile sees around its own.
    """
    limit = (tile + 2 * overlap) ** 2
    sides = [
        [side_of_tiles(length, count, overlap) for count in range(1, -(-length // MIN_TILE) + 1)]
        for length in (height, width)
    ]
    grids = [
        (high * len_rows * wide * len_columns, len_rows, len_columns)
        for len_rows, high in enumerate(sides[0], 1)
        for len_columns, wide in enumerate(sides[1], 1)
        if high * wide <= limit
    ]
    _, rows, columns = min(grids, default=(0, len(sides[0]), len(sides[1])))
    return windows(height, rows, overlap), windows(width, columns, overlap)


def side_of_tiles(length: int, count: int, overlap: int) -> int:
    """Side of so many tiles of one size, a multiple of ``STEP``: others would scatter the memory of networks."""
    return -(-(length + 2 * overlap * (count - 1)) // count // STEP) * STEP


def windows(length: int, count: int, overlap: int) -> list[Window]:
    """So many tiles along a side of an image. They begin at multiples of ``STEP``; the last one may end early."""
    side = side_of_tiles(length, count, overlap)
    room = -(-length // STEP) * STEP - side
    starts = [round(room * index / max(count - 1, 1) / STEP) * STEP for index in range(count)]
    borders = [0, *((start + before + side) // 2 for before, start in pairwise(starts)), length]
    spans = zip(starts, pairwise(borders), strict=True)
    return [Window(start, min(start + side, length), *own) for start, own in spans]


def join_seamless(parts: Iterable[FloatImage], shared: int) -> Iterator[FloatImage]:
    """Join overlapping parts of an image from left to right: where two overlap, one fades into the other.

    Args:
        parts: each begins ``shared`` pixels before the one before it ends. They are changed.
        shared: pixels in common.

    Yields:
        Blocks that make the whole when they are put one beside the other.
    """
    ramp = _ramp(shared)[None, :, None]
    tail: Array | None = None
    for part in parts:
        if tail is not None:
            part[:, :shared] = tail + ramp * (part[:, :shared] - tail)
        tail = part[:, part.shape[1] - shared :].copy()  # without it all of the part would stay in memory
        if (body := part[:, : part.shape[1] - shared]).size:
            yield body
    if tail is not None:
        yield tail


def _ramp(shared: int) -> NDArray[np.float32]:
    """(shared,) shares of the second of two parts where they overlap."""
    return (np.arange(shared, dtype=np.float32) + np.float32(0.5)) / np.float32(max(shared, 1))
