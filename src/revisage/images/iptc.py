"""Photoshop's image resource blocks, in which IPTC data travels (Adobe, Photoshop File Formats, "Image Resources")."""

from __future__ import annotations

import struct
from collections.abc import Iterator

MARK = b"Photoshop 3.0\0"
"""What stands before the blocks in a JPEG segment."""
IPTC = 1028
_PREVIEWS = frozenset({1033, 1036})
_SIGNATURE = b"8BIM"


def without_previews(blocks: bytes) -> bytes:
    """Leave out the blocks that hold a small version of the old picture, and everything that is damaged."""
    return b"".join(whole for identifier, whole in _blocks(blocks) if identifier not in _PREVIEWS)


def iptc_block(records: bytes) -> bytes:
    """Bare IPTC records (as TIFF has them) -> a block."""
    padding = b"\0" * (len(records) % 2)
    return _SIGNATURE + struct.pack(">HHL", IPTC, 0, len(records)) + records + padding


def _blocks(blocks: bytes) -> Iterator[tuple[int, bytes]]:
    """Identifier and bytes of every whole block."""
    start = 0
    while blocks[start : start + 4] == _SIGNATURE and start + 12 <= len(blocks):
        identifier, name = struct.unpack_from(">HB", blocks, start + 4)
        content = start + 6 + (name + 2) // 2 * 2  # the name and its length fill pairs of bytes
        if content + 4 > len(blocks):
            return
        (size,) = struct.unpack_from(">L", blocks, content)
        end = content + 4 + size + size % 2
        if content + 4 + size > len(blocks):
            return
        yield identifier, blocks[start:end].ljust(end - start, b"\0")
        start = end
