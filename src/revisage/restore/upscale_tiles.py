"""Enlarging the whole picture with a network, tile by tile: its device never sees more than one tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from revisage.errors import DeviceError, InputError, WeightsError
from revisage.images.pixels import from_float, to_float
from revisage.models.device import Choice, evaluate
from revisage.restore.upscale import enlarged_size, lanczos
from revisage.types import Array, FloatImage, Image

if TYPE_CHECKING:
    import torch

SMALLEST = 64
"""Side of the smallest tiles; below, little but overlap would be computed."""
STEP = 4
"""Tiles begin at multiples of this, as networks need that work on smaller pictures of more channels."""
Span: TypeAlias = tuple[int, int]
"""First pixel and the one after the last."""


@dataclass(frozen=True)
class TiledUpscaler:
    """Enlarges pictures by a network. Remembers nothing between calls; any number of threads may share one.

    The picture stays in the machine's memory, only tiles go to the device. Tiles see ``overlap`` pixels of their
    neighbours. Half of that is seen only; over the other half on both sides of a border one tile fades into the next.
    A network that looks no further than ``overlap / 2`` pixels gives the same picture as without tiles.

    Attributes:
        network: (1, 3, H, W) RGB in [0, 1], H and W multiples of ``STEP`` -> (1, 3, factor * H, factor * W).
        factor: how much the network enlarges.
        choice: device and number format.
        tile: side of the tiles in pixels of the picture; 0 takes the picture whole. Halved, down to ``SMALLEST``, where
            memory is short.
        overlap: see above; a multiple of 2 * ``STEP``, at most ``SMALLEST``.
    """

    network: Callable[[torch.Tensor], torch.Tensor]
    factor: int
    choice: Choice
    tile: int = 400
    overlap: int = 32

    def __post_init__(self) -> None:
        check_tile(self.tile)

    def __call__(self, image: Image, scale: float) -> Image:
        """Enlarge; to other scales than the network's own by Lanczos or area averages of its result.

        Args:
            image: (H, W, 3) RGB uint8, uint16 or float32 in [0, 1].
            scale: sides of the result over sides of the picture.

        Returns:
            (round(H * scale), round(W * scale), 3) of the same dtype; pixel centres at x' = scale x + (scale - 1) / 2.

        Raises:
            InputError: ``scale`` is not in (0, 8], or nothing would be left.
            DeviceError: not even the smallest tiles find room in memory.
            WeightsError: the network gives values that are not finite.
        """
        height, width = enlarged_size(image, scale)
        # Both maps of pixel centres, one after the other, are the one that is promised.
        resized = lanczos(self._enlarge(image), scale / self.factor)[:height, :width]
        missing = height - resized.shape[0], width - resized.shape[1]  # a pixel where halves are rounded the other way
        return np.pad(resized, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else resized

    def _enlarge(self, image: Image) -> Image:
        """The picture at ``factor``, with the largest tiles that find room."""
        whole = max(image.shape[:2])
        tile = min(self.tile or whole, whole)
        while True:
            try:
                return enlarged_by_tiles(self._network_on, image, self.factor, tile, self.overlap)
            except (MemoryError, RuntimeError) as error:
                if not is_memory_short(error):
                    raise
                if tile <= SMALLEST:
                    device = self.choice.device
                    raise DeviceError(f"not enough memory on {device} for tiles of {tile} pixels") from error
            tile = max(tile // 2, SMALLEST)
            self._release()

    def _release(self) -> None:
        """Give memory that is kept for later back to the device, so that smaller tiles find it in one piece."""
        import torch

        if self.choice.device.type == "cuda":
            torch.cuda.empty_cache()

    def _network_on(self, window: FloatImage) -> FloatImage:
        """(H, W, 3) in [0, 1] -> (factor * H, factor * W, 3) in [0, 1]."""
        import torch

        height, width = window.shape[:2]
        padded = np.pad(window, ((0, -height % STEP), (0, -width % STEP), (0, 0)), mode="edge")
        tensor = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)[None])).to(self.choice.device)
        output = evaluate(self.network, tensor, self.choice)
        if not torch.isfinite(output).all():
            raise WeightsError("the background network gives values that are not finite; choose another")
        picture = output[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return picture[: height * self.factor, : width * self.factor]


def check_tile(tile: int) -> None:
    """Raise InputError unless tiles may have this side."""
    if tile != 0 and tile < SMALLEST:
        raise InputError(f"tiles have at least {SMALLEST} pixels, or 0 for the whole picture, not {tile}")


def is_memory_short(error: BaseException) -> bool:
    """Whether an error says that memory ran out; only some devices have a class of their own for that."""
    if isinstance(error, MemoryError):
        return True
    message = str(error).lower()
    return any(words in message for words in ("out of memory", "allocate memory", "not enough memory", "alloc_failed"))


def enlarged_by_tiles(
    enlarge: Callable[[FloatImage], FloatImage], image: Image, factor: int, tile: int, overlap: int
) -> Image:
    """A whole picture, enlarged in pieces.

    Args:
        enlarge: (h, w, 3) float32 in [0, 1] -> (factor * h, factor * w, 3), likewise.
        image: (H, W, 3) of any allowed dtype.
        factor: how much ``enlarge`` enlarges.
        tile: side of the pieces without their overlap, at least ``overlap``.
        overlap: see :class:`TiledUpscaler`.

    Returns:
        (factor * H, factor * W, 3) of the dtype of ``image``.
    """
    height, width = image.shape[:2]
    shared = overlap * factor  # pixels of the result that neighbours have in common
    result = np.empty((height * factor, width * factor, 3), image.dtype)
    strips = (_strip(enlarge, image, rows, factor, tile, overlap) for rows in spans(height, tile))
    top = 0
    for block in without_seams(strips, shared, axis=0):
        result[top : top + len(block)] = from_float(block, image.dtype)
        top += len(block)
    return result


def _strip(
    enlarge: Callable[[FloatImage], FloatImage], image: Image, rows: Span, factor: int, tile: int, overlap: int
) -> FloatImage:
    """The enlarged rows of a row of tiles, over the whole width, with half the overlap above and below."""
    height, width = image.shape[:2]

    def piece(columns: Span) -> FloatImage:
        (top, bottom), (left, right) = wider(rows, overlap, height), wider(columns, overlap, width)
        enlarged = enlarge(to_float(image[top:bottom, left:right]))
        (y1, y2), (x1, x2) = wider(rows, overlap // 2, height), wider(columns, overlap // 2, width)
        return enlarged[(y1 - top) * factor : (y2 - top) * factor, (x1 - left) * factor : (x2 - left) * factor]

    pieces = (piece(columns) for columns in spans(width, tile))
    return np.concatenate(list(without_seams(pieces, overlap * factor, axis=1)), axis=1)


def spans(length: int, tile: int) -> list[Span]:
    """Parts of about equal size, at most about ``tile``, that begin at multiples of ``STEP``."""
    count = -(-length // tile)
    borders = [round(place * length / count / STEP) * STEP for place in range(count)]
    return list(zip(borders, [*borders[1:], length], strict=True))


def wider(span: Span, margin: int, length: int) -> Span:
    """``span`` with a margin on both sides, within 0 .. length."""
    return max(span[0] - margin, 0), min(span[1] + margin, length)


def without_seams(parts: Iterable[FloatImage], shared: int, axis: int) -> Iterator[FloatImage]:
    """Join overlapping parts of a picture: where two overlap, one fades into the other.

    Args:
        parts: one after the other along ``axis``; each begins ``shared`` pixels before the one before it ends.
        shared: pixels in common.
        axis: 0 down, 1 across.

    Yields:
        Blocks that make the whole when they are put one after the other.
    """
    ramp = ((np.arange(shared, dtype=np.float32) + np.float32(0.5)) / np.float32(max(shared, 1)))[:, None, None]
    if axis == 1:
        ramp = ramp.transpose(1, 0, 2)
    tail: Array | None = None
    for part in parts:
        body: Array = part
        if tail is not None:
            head, rest = np.split(part, [shared], axis)
            body = np.concatenate([tail + ramp * (head - tail), rest], axis)
        block, tail = np.split(body, [body.shape[axis] - shared], axis)
        yield block
    if tail is not None:
        yield tail
