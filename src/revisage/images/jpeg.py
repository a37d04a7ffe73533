"""The segments of JPEG files (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_NEXT = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""A marker that is not within entropy-coded data. A run of 0xFF may stand before it (B.1.1.2): matched with it, a file
that goes on so to its end would take time by the square of its length."""


@dataclass(frozen=True, slots=True)
class Segments:
    """The parts of a JPEG file.

    Attributes:
        found: marker and content of each segment, in order.
        end: position behind the end mark, or of the end of the file if there is none.
        last: position of the last segment's marker, and of the 0xFF that fill up before it.
    """

    found: tuple[tuple[int, bytes], ...]
    end: int
    last: int


def read_segments(data: bytes) -> Segments:
    """Read the segments of the first image in a file; what makes no sense is passed over."""
    found: list[tuple[int, bytes]] = []
    start = last = 2
    while match := _NEXT.search(data, start):
        before, start = data[start : match.start()], match.end()
        marker = data[start - 1]
        if marker == 0xD9:
            return Segments(tuple(found), start, last)
        if marker in (0x01, 0xD8) or start + 2 > len(data):
            continue
        last = match.start() - (len(before) - len(before.rstrip(b"\xff")))
        (length,) = struct.unpack_from(">H", data, start)
        found.append((marker, data[start + 2 : start + length]))
        start += max(length, 2)
    return Segments(tuple(found), len(data), last)
