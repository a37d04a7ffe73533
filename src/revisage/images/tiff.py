"""TIFF files of 8 or 16 bits a channel with metadata.

Pillow's own writer knows no 16-bit colour and cannot both compress and keep EXIF; its tag directory can.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import PIL.Image
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import BYTE, UNDEFINED

from revisage.images.metadata import TIFF_LAYOUT_TAGS, Metadata
from revisage.types import Array

_XMP, _PHOTOSHOP, _ICC = 700, 34377, 34675


def encode(pixels: Array, metadata: Metadata) -> bytes:
    """(H, W, 1..4) uint8 or uint16 -> TIFF bytes: one deflated strip with horizontal prediction.

    Args:
        pixels: gray, gray and alpha, RGB or RGBA.
        metadata: what to write beside them.
    """
    height, width, channels = pixels.shape
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    predicted = little.copy()
    predicted[:, 1:] -= little[:, :-1]  # wraps around, as TIFF 6.0 section 14 wants it
    strip = zlib.compress(predicted.data, 4)

    layout: dict[int, Any] = {
        256: width,
        257: height,
        258: (pixels.dtype.itemsize * 8,) * channels,  # bits per sample
        259: 8,  # deflate
        262: 1 if channels <= 2 else 2,  # black is zero, or RGB
        273: 0,  # strip offset; the directory adds its own length
        277: channels,
        278: height,  # rows per strip
        279: len(strip),
        284: 1,  # channels interleaved
        317: 2,  # horizontal prediction
    }
    if channels in (2, 4):
        layout[338] = 2  # the last channel is alpha, not multiplied into the colours
    directory = _directory(metadata)
    for tag, value in layout.items():
        directory[tag] = value
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + strip


def _directory(metadata: Metadata) -> ImageFileDirectory_v2:
    """A tag directory that holds the metadata and nothing about pixels yet."""
    directory = ImageFileDirectory_v2()
    exif = PIL.Image.Exif()
    if metadata.exif:
        exif.load(metadata.exif)
    for tag in set(exif) - TIFF_LAYOUT_TAGS:
        if tag in (IFD.Exif, IFD.GPSInfo):
            # The interoperability entry is an offset into the old file.
            directory[tag] = {key: value for key, value in exif.get_ifd(tag).items() if key != IFD.Interop}
        else:
            directory[tag] = exif[tag]
    travelling = (_XMP, metadata.xmp, BYTE), (_PHOTOSHOP, metadata.photoshop, BYTE), (_ICC, metadata.icc, UNDEFINED)
    for tag, content, kind in travelling:
        if content:
            directory.tagtype[tag] = kind
            directory[tag] = content
    if metadata.dpi:
        directory[282], directory[283] = metadata.dpi
        directory[296] = 2  # both in dots an inch
    return directory
