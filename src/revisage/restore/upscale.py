"""Background: the whole image enlarged, by Lanczos or by a network in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
Span: TypeAlias = tuple[int, int]
"""First pixel and the one after the last."""


@dataclass(frozen=True)
class TiledUpscaler:
    """Background upscaler by a network. Stateless; any number of threads may share one.

    Tiles overlap by ``overlap`` pixels on each side. The outer half is context only; over the inner half one tile fades
    into the next. A network whose receptive field is within ``overlap / 2`` pixels returns the same as without tiles.

    Attributes:
        network: (1, 3, H, W) float32 RGB in [0, 1], H and W multiples of ``STEP`` -> (1, 3, factor * H, factor * W);
            raises MemoryError where memory is short.
        factor: how much the network enlarges.
        tile: side of square tiles in pixels of the image, without their overlap; others have about the same area. 0
            takes the image whole. Halved, down to ``MIN_TILE``, where memory is short.
        overlap: see above; a multiple of 2 * ``STEP``, at most ``MIN_TILE``.
    """

    network: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    factor: int
    tile: int = 400
    overlap: int = 32

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
        height, width = image.shape[:2]
        whole = max(math.ceil(math.sqrt(height * width)) - 2 * self.overlap, MIN_TILE)
        tile = min(self.tile or whole, whole)
        while True:
            try:
                return upscale_in_tiles(self._network_on, image, self.factor, tile, self.overlap, reduction)
            except MemoryError as error:
                if tile <= MIN_TILE:
                    raise DeviceError(f"not enough memory for tiles of {tile} pixels") from error
            tile = max(tile // 2, MIN_TILE)

    def _network_on(self, window: FloatImage) -> FloatImage:
        """(H, W, 3) in [0, 1] -> (factor * H, factor * W, 3) in [0, 1]."""
        height, width = window.shape[:2]
        padded = np.pad(window, ((0, -height % STEP), (0, -width % STEP), (0, 0)), mode="edge")
        output = self.network(np.ascontiguousarray(padded.transpose(2, 0, 1)[None]))
        if not np.isfinite(output).all():
            raise WeightsError("the background upscaler returns values that are not finite; choose another")
        image = np.clip(output[0], 0, 1).transpose(1, 2, 0)
        return image[: height * self.factor, : width * self.factor]


def check_tile(tile: int) -> None:
    """Raise InputError unless tiles may have this side."""
    if tile != 0 and tile < MIN_TILE:
        raise InputError(f"tiles have at least {MIN_TILE} pixels, or 0 for the whole image, not {tile}")


def upscale_in_tiles(
    enlarge: Callable[[FloatImage], FloatImage], image: Image, factor: int, tile: int, overlap: int, reduction: int = 1
) -> Image:
    """A whole image, enlarged in pieces.

    Args:
        enlarge: (h, w, 3) float32 in [0, 1] -> (factor * h, factor * w, 3) float32 in [0, 1].
        image: (H, W, 3) of any allowed dtype.
        factor: how much ``enlarge`` enlarges.
        tile: side of a square piece without its overlap, see :func:`choose_grid`.
        overlap: see :class:`TiledUpscaler`.
        reduction: divisor of ``factor`` by which the result is reduced again, piece by piece.

    Returns:
        (factor * H / reduction, factor * W / reduction, 3) of the dtype of ``image``.
    """
    height, width = (length * factor // reduction for length in image.shape[:2])
    shared = overlap * factor  # pixels of an enlarged piece that it and its neighbor have in common
    result = np.empty((height, width, 3), image.dtype)
    ramp = _ramp(shared)[:, None, None]
    tail: Array = np.empty((shared, image.shape[1] * factor, 3), np.float32)  # the last rows, not blended yet
    all_rows, columns = choose_grid(image.shape[0], image.shape[1], tile, overlap)
    top = 0
    for rows in all_rows:
        left, done = 0, 0
        for block in _row_of_tiles(enlarge, image, rows, columns, factor, overlap):
            above = tail[:, left : left + block.shape[1]]
            if rows[0]:
                block[:shared] = above + ramp * (block[:shared] - above)
            done = len(block)
            if rows[1] < image.shape[0]:
                done -= shared
                above[:] = block[done:]
            _write(block[:done], result, top, left, reduction)
            left += block.shape[1]
        top += done
    return result


def _write(block: FloatImage, result: Image, top: int, left: int, reduction: int) -> None:
    """Round a block, reduce it and write it into the result; ``top`` and ``left`` count before the reduction."""
    columns = slice(left // reduction, (left + block.shape[1]) // reduction)
    for start in range(0, len(block), ROWS):  # few rows at a time stay in the processor's cache
        rows = lanczos(from_float(block[start : start + ROWS], result.dtype), 1 / reduction)
        first = (top + start) // reduction
        result[first : first + len(rows), columns] = rows


def _row_of_tiles(
    enlarge: Callable[[FloatImage], FloatImage],
    image: Image,
    rows: Span,
    columns: Sequence[Span],
    factor: int,
    overlap: int,
) -> Iterator[FloatImage]:
    """Enlarged tiles from left to right, joined, with half the overlap above and below; callers may change them."""
    height, width = image.shape[:2]

    def piece(columns: Span) -> FloatImage:
        (top, bottom), (left, right) = widen(rows, overlap, height), widen(columns, overlap, width)
        enlarged = enlarge(to_float(image[top:bottom, left:right]))
        (y1, y2), (x1, x2) = widen(rows, overlap // 2, height), widen(columns, overlap // 2, width)
        return enlarged[(y1 - top) * factor : (y2 - top) * factor, (x1 - left) * factor : (x2 - left) * factor]

    return join_seamless(map(piece, columns), overlap * factor)


def choose_grid(height: int, width: int, tile: int, overlap: int) -> tuple[list[Span], list[Span]]:
    """Rows and columns of the grid with the least overlap, of tiles no larger than a square one with its overlap.

    Args:
        height: of the image.
        width: of the image.
        tile: side of that square without its overlap.
        overlap: on each side of a tile, but not at the image's border.
    """

    def side(length: int, count: int) -> int:
        """Of the largest tiles if there are so many."""
        return min(-(-length // count // STEP) * STEP + overlap * min(count - 1, 2), length)

    def seen(grid: tuple[int, int]) -> int:
        """Pixels of all tiles."""
        return (height + 2 * overlap * (grid[0] - 1)) * (width + 2 * overlap * (grid[1] - 1))

    most = -(-height // MIN_TILE), -(-width // MIN_TILE)
    grids = [
        (rows, columns)
        for rows in range(1, most[0] + 1)
        for columns in range(1, most[1] + 1)
        if side(height, rows) * side(width, columns) <= (tile + 2 * overlap) ** 2
    ]
    rows, columns = min(grids, key=seen, default=most)
    return spans(height, rows), spans(width, columns)


def spans(length: int, count: int) -> list[Span]:
    """So many parts of about equal size that begin at multiples of ``STEP``."""
    borders = [round(place * length / count / STEP) * STEP for place in range(count)]
    return list(zip(borders, [*borders[1:], length], strict=True))


def widen(span: Span, margin: int, length: int) -> Span:
    """``span`` with a margin on both sides, within 0 .. length."""
    return max(span[0] - margin, 0), min(span[1] + margin, length)


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
