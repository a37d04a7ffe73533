"""PNG files of 16 bits a channel in color, which Pillow neither reads nor writes."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from revisage.images.damaged_png import join_chunks, png_chunks
from revisage.types import Array

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> color type in a PNG header."""
_METADATA = (b"eXIf", b"iCCP", b"iTXt", b"tEXt", b"zTXt", b"pHYs")
"""Chunks that hold EXIF, color profile, text and resolution."""


def decode16(data: bytes, transparent: int | None = None) -> Array | None:
    """PNG bytes of 16 bits -> (H, W, 1..4) uint16 as stored: gray, gray and alpha, RGB or RGBA; None if OpenCV fails.

    ``transparent`` is the gray value that stands for transparency, which OpenCV leaves out.
    """
    pixels: Array | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        opaque = [np.where(pixels == transparent, 0, 65535).astype(np.uint16)] if transparent is not None else []
        return np.dstack([pixels, *opaque])
    gray_with_alpha = data[25] == _COLOR_TYPES[2]  # OpenCV made colors of it
    order = [0, 3] if gray_with_alpha else [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[:, :, order])


def encode16(pixels: Array, carrier: bytes) -> bytes:
    """(H, W, 1..4) uint16 -> PNG bytes (ISO 15948), with the metadata of ``carrier``, a PNG file of any image."""
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 1  # each row begins with its filter; 1 is the difference to the pixel on the left
    filtered[:, 1:] = rows
    filtered[:, 1 + channels * 2 :] -= rows[:, : -channels * 2]
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    metadata = [(chunk.kind, chunk.content) for chunk in png_chunks(carrier) if chunk.kind in _METADATA]
    return join_chunks([(b"IHDR", header), *metadata, (b"IDAT", zlib.compress(filtered.data, 4)), (b"IEND", b"")])
