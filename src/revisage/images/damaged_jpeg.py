"""Damaged JPEG files: cut ones with and without an end mark, and progressive ones that lack scans (ITU-T T.81)."""

from __future__ import annotations

import io
import struct

import numpy as np
import PIL.Image

from revisage.images.damage import TAILS, Repair, find_lost_share, say_lost
from revisage.images.jpeg import read_segments
from revisage.types import Array

END = b"\xff\xd9"
NO_END = "it has no end mark; no pixel is missing"
_TAIL = 4096
_LACKS_SCANS = "its last scans are missing: it is less sharp than it was"
_MIDDLE = 128
"""Value of all channels where decoders have no data."""
_MAX_ZEROS = 64
"""Bytes: more zeros at the end of a file without end mark are room that was never filled."""
_SOF_PROGRESSIVE, _SOS = 0xC2, 0xDA
_MALFORMED = (OSError, SyntaxError, ValueError, struct.error, IndexError, KeyError, TypeError)


def is_cut(data: bytes, decoded: PIL.Image.Image) -> bool:
    """Whether a file that decoders take lacks pixels all the same: it was cut, and an end mark or zeros put behind.

    Decoders warn on a channel of their own, and make middle gray of what they lack. Only where an image ends in that it
    is decoded again, at an eighth of its size; files of several scans show no gray, and are decoded at their own size.
    """
    segments = read_segments(data)
    if data[segments.end - 2 : segments.end] != END:
        repaired = repair(data)
        return repaired is None or repaired.lost
    if _lacks_scans(data):
        return True
    is_single = sum(marker == _SOS for marker, _ in segments.found) == 1
    if is_single and not _ends_in_gray(decoded):
        return False
    body = data[: segments.end - 2]
    shrink = 8 if is_single else 1
    images = [_decode(body + tail + END, shrink) for tail in (b"", TAILS[1] * _TAIL, TAILS[2] * _TAIL)]
    return any(one is None or images[0] is None or not np.array_equal(one, images[0]) for one in images)


def _ends_in_gray(decoded: PIL.Image.Image) -> bool:
    """Whether the last pixel is that of missing data; rounding, and colors from beside it, may move it a little."""
    last = decoded.crop((decoded.width - 1, decoded.height - 1, *decoded.size)).convert("L")
    return decoded.mode == "CMYK" or abs(last.tobytes()[0] - _MIDDLE) <= 4


def repair(data: bytes) -> Repair | None:
    """Repair a file; None if nothing can be read of it."""
    segments = read_segments(data)
    end, behind = segments.end, b""
    if data[end - 2 : end] == END:
        body, behind = data[: end - 2], data[end:]
    else:
        body = data.rstrip(b"\xff")
        shown = body.rstrip(b"\0")
        body = body if len(body) - len(shown) < _MAX_ZEROS else shown
    for start in (body, body[: segments.last]):  # it may have been cut within a segment
        decoded = [pixels for tail in TAILS if (pixels := _decode(start + tail * _TAIL + END)) is not None]
        if len(decoded) == len(TAILS):
            whole = start + END + behind
            if _lacks_scans(whole):
                return Repair(whole, _LACKS_SCANS, lost=True)
            if not (share := find_lost_share(decoded)):
                return Repair(whole, NO_END, lost=False)
            return Repair(whole, say_lost(share), lost=True)
    return None


def _decode(data: bytes, shrink: int = 1) -> Array | None:
    try:
        opened = PIL.Image.OPEN["JPEG"][0](io.BytesIO(data), "")
        if shrink > 1:
            opened.draft(None, (opened.width // shrink, opened.height // shrink))
        return np.asarray(opened)
    except _MALFORMED:
        return None


def _lacks_scans(data: bytes) -> bool:
    """Whether a file ends before all bits of all coefficients (G.1.1.1.1), or before all of its channels."""
    missing: dict[tuple[int, int], int] = {}
    for marker, content in read_segments(data).found:
        if 0xC0 <= marker <= 0xC2 and len(content) >= 6:
            components = [content[6 + 3 * i] for i in range(content[5]) if 6 + 3 * i < len(content)]
            last = 64 if marker == _SOF_PROGRESSIVE else 1
            missing = {(component, k): -1 for component in components for k in range(last)}
        elif marker == _SOS and missing and len(content) >= 1 + 2 * content[0] + 3:
            first, last, bits = content[1 + 2 * content[0] : 4 + 2 * content[0]]
            for component in content[1 : 1 + 2 * content[0] : 2]:
                missing |= {(component, k): bits & 15 for k in range(first, min(last, 63) + 1)}
    return any(missing.values())
