"""What a JPEG file's tables tell of how it was written: quality and chroma subsampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from revisage.types import Array

# fmt: off
_LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
])
# fmt: on
"""Table K.1 of ITU-T T.81, row by row: the luminance steps of quality 50."""
_SUBSAMPLINGS = {1: "4:2:2", 2: "4:2:0"}
"""Pillow's numbers."""


def luminance_table(quality: int) -> Array:
    """(64,) steps, row by row, that the Independent JPEG Group's encoder takes for a quality of 1..100."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((_LUMINANCE * percent + 50) // 100, 1, 255)


def estimated_quality(table: Sequence[int]) -> int:
    """The quality 1..100 whose luminance table comes nearest; exact for files of encoders that use these tables.

    Args:
        table: 64 steps, row by row.
    """
    steps = np.asarray(table)
    distances = [np.abs(luminance_table(quality) - steps).sum() for quality in range(1, 101)]
    return int(np.argmin(distances)) + 1


def quality_of(opened: PIL.Image.Image) -> int | None:
    """Estimated quality of a JPEG file; None for other files."""
    tables = opened.quantization if isinstance(opened, JpegImageFile) else {}
    return estimated_quality(tables[0]) if len(tables.get(0, ())) == 64 else None


def subsampling_of(opened: PIL.Image.Image) -> str:
    """``4:2:0`` or ``4:2:2`` if a JPEG file is written so, ``4:4:4`` for everything else."""
    sampling = get_sampling(opened) if isinstance(opened, JpegImageFile) else -1
    return _SUBSAMPLINGS.get(sampling, "4:4:4")
