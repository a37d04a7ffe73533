"""Damaged PNG files: what is still there, and whether a pixel is missing (ISO 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from revisage.images.damage import Repair, say_lost

_STEP = 1 << 20
_PIECE = 1 << 10
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Interlaced files: first column and row of a pass, and its steps (8.2)."""
_MISREAD = b"bbox", b"transparency"
"""Keywords of texts that Pillow takes for its own notes on the pixels; it fails over them."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Chunk(NamedTuple):
    """A chunk of a PNG file; sound if it is whole, and its checksum right."""

    kind: bytes
    content: bytes
    is_sound: bool


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG file, the last one as far as it is there."""
    start = 8
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, start)
        content = data[start + 8 : start + 8 + length]
        if not kind.isalpha():
            return
        end = start + 12 + length
        yield Chunk(kind, content, data[end - 4 : end] == struct.pack(">L", zlib.crc32(content, zlib.crc32(kind))))
        if kind == b"IEND":
            return
        start = end


def join_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Kinds and contents of chunks -> a PNG file, with their checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def repair(data: bytes, *, allow_damaged: bool) -> Repair | None:
    """Repair a file; None if nothing can be read of it. For ``allow_damaged`` see ``images.repair``."""
    there = list(png_chunks(data))
    chunks = [chunk for chunk in there if not _is_misread(chunk)]
    if len(chunks) < len(there) and is_sound(data):
        kept = join_chunks((chunk.kind, chunk.content) for chunk in chunks)
        return Repair(kept, "a text by the name of a setting is left out; no pixel is missing", lost=False)
    if not chunks or chunks[0].kind != b"IHDR" or len(chunks[0].content) != 13:
        return None
    size = _raw_size(chunks[0].content)
    packed = b"".join(chunk.content for chunk in chunks if chunk.kind == b"IDAT")
    rows = _Rows(packed, size)
    found = sum(map(len, rows))
    if not found:
        return None
    is_cut = all(chunk.is_sound for chunk in chunks[:-1] if chunk.kind == b"IDAT")
    if found == size and not rows.is_wrong and (rows.is_whole or is_cut):
        wrong = sorted({chunk.kind.decode("latin-1") for chunk in chunks if not chunk.is_sound and chunk.content})
        warning = f"the checksum of {', '.join(wrong)} is wrong" if wrong and rows.is_whole else "it has no end mark"
        packed = packed if rows.is_whole else _repack(packed, size)
        return Repair(_assemble(chunks, packed), f"{warning}; no pixel is missing", lost=False)
    warning = say_lost(1 - found / size) if found < size else "some of its pixels may be wrong"
    return Repair(_assemble(chunks, _repack(packed, size)) if allow_damaged else b"", warning, lost=True)


def is_sound(data: bytes) -> bool:
    """Whether a file is whole, and all of its checksums are right."""
    chunk = None
    for chunk in png_chunks(data):
        if not chunk.is_sound:
            return False
    return chunk is not None and chunk.kind == b"IEND"


def _is_misread(chunk: Chunk) -> bool:
    return chunk.kind in (b"tEXt", b"zTXt", b"iTXt") and chunk.content.partition(b"\0")[0] in _MISREAD


def _raw_size(header: bytes) -> int:
    """Bytes of all rows with their filters, before they are packed."""
    width, height, depth, color, _, _, interlaced = struct.unpack(">LLBBBBB", header)
    bits = depth * _CHANNELS.get(color, 1)
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    sizes = (((width - x + dx - 1) // dx, (height - y + dy - 1) // dy) for x, y, dx, dy in _PASSES)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


class _Rows:
    """The rows of a PNG file, unpacked piece by piece, as far as they can be.

    Attributes:
        is_whole: after the last piece: the stream ended where it says so, with the checksum that it states.
        is_wrong: the stream makes no sense somewhere.
    """

    def __init__(self, packed: bytes, size: int) -> None:
        self._packed, self._size = packed, size
        self.is_whole = self.is_wrong = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield at most ``size`` bytes."""
        stream, missing = zlib.decompressobj(), self._size
        try:
            for start in range(0, len(self._packed), _PIECE):  # of a piece with an error in it nothing comes out
                rest = self._packed[start : start + _PIECE]
                while rest and missing > 0 and (part := stream.decompress(rest, min(missing, _STEP))):
                    missing, rest = missing - len(part), stream.unconsumed_tail
                    yield part
                if missing <= 0:  # what follows is a checksum, and no pixels
                    self.is_wrong = bool(stream.decompress(rest + self._packed[start + _PIECE :], 1))
                    break
        except zlib.error:
            self.is_wrong = True
        self.is_whole = stream.eof and missing == 0


def _repack(packed: bytes, size: int) -> bytes:
    """Pack again what can be unpacked, with zeros for the rest."""
    stream = zlib.compressobj(1)
    parts: list[bytes] = []
    for part in _Rows(packed, size):
        size -= len(part)
        parts.append(stream.compress(part))
    while size > 0:
        zeros = bytes(min(size, _STEP))
        size -= len(zeros)
        parts.append(stream.compress(zeros))
    return b"".join([*parts, stream.flush()])


def _assemble(chunks: list[Chunk], packed: bytes) -> bytes:
    """The file anew, with right checksums and an end."""
    before = next(index for index, chunk in enumerate(chunks) if chunk.kind == b"IDAT")
    others = [(chunk.kind, chunk.content) for chunk in chunks if chunk.kind not in (b"IDAT", b"IEND")]
    return join_chunks([*others[:before], (b"IDAT", packed), *others[before:], (b"IEND", b"")])
