"""Files that decoders refuse, or read only in part: what is still there, and whether a pixel is missing.

A JPEG file without its end mark, or a PNG file with a wrong checksum, may hold every pixel. Whether it does is found
out by decoding: the pixels of a file that was cut depend on what is put behind the cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from revisage.types import Array

TAILS = (b"\x00", b"\xaa", b"\x55")
"""Bytes, repeated, that are put behind a cut, to see whether they change any pixel."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A file that decoders take.

    Attributes:
        lost: whether pixels are missing.
    """

    data: bytes
    warning: str
    lost: bool


def find_lost_share(decoded: Sequence[Array]) -> float:
    """Share of the rows, from below, that are not the same in all images (H, W, ...) of one shape; 0 for none."""
    differ = [(one != decoded[0]).reshape(len(one), -1).any(axis=1) for one in decoded[1:]]
    rows = np.flatnonzero(np.logical_or.reduce(differ))
    return float(1 - rows[0] / len(decoded[0])) if len(rows) else 0.0


def say_lost(share: float) -> str:
    """Words for a share of the rows."""
    return f"the last {max(100 * share, 0.1):.{0 if share > 0.1 else 1}f} % of its rows are missing"
