"""Make files that decoders refuse, or read only in part, readable as far as they are there."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import PIL.Image

from revisage.images import damaged_jpeg, damaged_png, formats, heif, tiff_directory
from revisage.images.damage import TAILS, Repair, find_lost_share, say_lost
from revisage.images.jpeg import read_segments
from revisage.types import Array

_MAX_PADDING = 1 << 28
_MAX_GROWTH = 32
"""Of a file that is filled up: of one that lacks more, nothing is left to be seen."""
_DROPS = (0, 8, 64, 512)
_BOX = 8
_MOVING = 2
"""Flag of a WebP file that is an animation (RFC 9649, 2.7)."""
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, MemoryError)


def repair(kind: str, data: bytes, *, allow_damaged: bool) -> Repair | None:
    """Repair a file of a format by Pillow's name; None if nothing can be read of it.

    With ``allow_damaged`` also where pixels are missing; otherwise the result may have no data then.
    """
    match kind:
        case "JPEG":
            return damaged_jpeg.repair(data)
        case "PNG":
            return damaged_png.repair(data, allow_damaged=allow_damaged)
        case "TIFF" if not tiff_directory.has_directory(data):
            return None
        case "BMP" | "TIFF" | "GIF":
            return _append_zeros(data, allow_damaged)
        case "WEBP" if data[12:16] == b"VP8X" and data[20:21] and data[20] & _MOVING:
            return _drop_cut_frames(data)
        case _:
            return _fill_up(kind, data)


def find_missing_end(kind: str, data: bytes) -> str:
    """Say that a JPEG or GIF file has no end mark, though decoders may take it; else ""."""
    if kind == "JPEG" and not data.endswith(damaged_jpeg.END) and read_segments(data).end == len(data):
        return damaged_jpeg.NO_END
    if kind == "GIF" and not data.rstrip(b"\0").endswith(b";"):
        return "it has no end mark; frames may be missing"
    return ""


def lacks_pixels(file_data: bytes, decoded: PIL.Image.Image) -> bool:
    """Whether pixels are missing in a file of which decoders have made an image without complaint."""
    return decoded.format in ("JPEG", "MPO") and damaged_jpeg.is_cut(file_data, decoded)


def _append_zeros(data: bytes, allow_damaged: bool) -> Repair:
    """Put zeros behind a file: rows that are stored plainly become black."""
    zeros = bytes(min(8 * len(data), _MAX_PADDING)) if allow_damaged else b""
    return Repair(data + zeros, "some of its rows are missing", lost=True)


def _drop_cut_frames(data: bytes) -> Repair | None:
    """The whole frames of an animated WebP file that was cut; None if there is none."""
    start, frames = 12, 0
    while start + _BOX <= len(data):
        size = int.from_bytes(data[start + 4 : start + _BOX], "little")
        end = start + _BOX + size + size % 2
        if end > len(data):
            break
        frames += data[start : start + 4] == b"ANMF"
        start = end
    whole = b"RIFF" + (start - _BOX).to_bytes(4, "little") + data[8:start]
    return Repair(whole, "it is cut short; frames are missing", lost=True) if frames else None


def _fill_up(kind: str, data: bytes) -> Repair | None:
    """Fill a WebP, AVIF or HEIF file up to the length that it states; None if it is as long, or cannot be read then."""
    missing = _stated_length(kind, data) - len(data)
    if not 0 < missing <= min(_MAX_PADDING, _MAX_GROWTH * len(data)):
        return None
    # The last bytes before the cut may contradict zeros: without some of them decoders go on.
    for drop in _DROPS:
        start = data[: len(data) - drop]
        whole = start + bytes(missing + drop)
        if decoded := list(_decode_variants(kind, start, missing + drop)):
            break
    else:
        return None
    frames, images = decoded[0][0], [image for _, image in decoded]
    if frames > 1:
        return Repair(whole, "frames may be missing", lost=True)
    if len(images) == 1 or len({one.shape for one in images}) > 1:  # other fillings are refused
        return Repair(whole, "some of its rows are missing", lost=True)
    share = find_lost_share(images)
    if not share:
        return Repair(whole, "it is cut short, behind its last pixel; metadata may be missing", lost=False)
    return Repair(whole, say_lost(share), lost=True)


def _decode_variants(kind: str, data: bytes, missing: int) -> Iterator[tuple[int, Array]]:
    """Number of frames and first image of a file that is filled up in different ways; zeros must do."""
    for tail in TAILS:
        try:
            file = data + tail * missing
            opened = (
                heif.open_heif(file) if kind == formats.HEIF.name else PIL.Image.OPEN[kind][0](io.BytesIO(file), "")
            )
            yield int(getattr(opened, "n_frames", 1)), np.asarray(opened)
        except _FAULTS:
            if tail == TAILS[0]:
                return


def _stated_length(kind: str, data: bytes) -> int:
    """Bytes of a RIFF file (its header says so), or of a file of boxes (ISO 14496-12: each says how long it is)."""
    if kind == "WEBP":
        return _BOX + int.from_bytes(data[4:8], "little")
    start = 0
    while start + _BOX <= len(data):
        size = int.from_bytes(data[start : start + 4])
        if size == 1:
            size = int.from_bytes(data[start + _BOX : start + 16])
        if size < _BOX:  # to the end of the file, or nonsense
            return len(data)
        start += size
    return start
