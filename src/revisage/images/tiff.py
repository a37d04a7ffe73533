"""Pixels of TIFF files: in with 16 bits a channel, in every layout that libtiff can decompress; out with 8 or 16.

Pillow reads few of the 16-bit layouts, and OpenCV returns rubbish for channels that lie in planes. So Pillow is given
the file as a gray image of its bytes, with as many strips or tiles, and the samples are put together from these here.
Pillow's writer knows no 16-bit color and cannot both compress and keep EXIF; its tag directory can.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile
from PIL.TiffTags import BYTE, UNDEFINED

from revisage.images.metadata import TIFF_LAYOUT_TAGS, Metadata
from revisage.images.tiff_directory import Directory, prepend_directory
from revisage.types import Array

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 259, 262, 274, 277
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES, _TILE_WIDTH, _TILE_OFFSETS, _TILE_BYTES = 273, 278, 279, 322, 324, 325
_X_RESOLUTION, _Y_RESOLUTION, _PLANAR, _RESOLUTION_UNIT, _PREDICTOR = 282, 283, 284, 296, 317
_EXTRA, _SAMPLE_FORMAT, _SUBSAMPLING, _XMP, _PHOTOSHOP, _ICC = 338, 339, 530, 700, 34377, 34675
_NOT_OF_BYTES = frozenset({254, 255, 280, 281, 320, 330, 332, 333, 334, 336, _EXTRA, _SAMPLE_FORMAT, 340, 341})
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _INKS, _YCBCR = 0, 1, 2, 5, 6
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}
_PREMULTIPLIED, _STRAIGHT = 1, 2
MAX_SAMPLES = 16
"""Channels of an image that are decoded; more of them would be a cheap way to fill the memory."""
_PACKED_AS_BYTES = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""Compressions that know nothing of samples: none, LZW, deflate, PackBits, old deflate, LZMA, Zstandard."""


class UnlimitedTiff(TiffImageFile):
    """Pillow's TIFF without its limit on pixels, which is one for the whole process; ours is held beforehand."""

    load_prepare = PIL.ImageFile.ImageFile.load_prepare

    def _open(self) -> None:
        super()._open()
        # Before version 13, Pillow reads uncompressed YCbCr as if its pixels had four bytes.
        if self.tag_v2.get(_PHOTOMETRIC) == _YCBCR and self.tag_v2.get(_COMPRESSION, 1) == 1:
            self._mode = "YCbCr"
            self.tile = [
                tile._replace(args=("YCbCr", *tile.args[1:])) if isinstance(tile.args, tuple) else tile
                for tile in self.tile
            ]


def can_decode16(directory: Directory) -> bool:
    """Whether ``decode16`` can read an image: gray or RGB of 16-bit integers, any extra channels, losslessly packed."""
    return (
        set(directory.numbers(_BITS)) == {16}
        and directory.number(_PHOTOMETRIC, -1) in _COLORS
        and set(directory.numbers(_SAMPLE_FORMAT, (1,))) == {1}
        and directory.number(_COMPRESSION, 1) in _PACKED_AS_BYTES
        and directory.number(_PREDICTOR, 1) in (1, 2)
        and _COLORS[directory.number(_PHOTOMETRIC, -1)] <= directory.number(_SAMPLES, 1) <= MAX_SAMPLES
    )


def find_unsupported_kind(directory: Directory) -> str:
    """Name the kind of pixels that neither ``decode16`` nor Pillow can read; empty for all others."""
    bits = max(directory.numbers(_BITS, (1,)))
    if directory.number(_PHOTOMETRIC, -1) == _YCBCR and directory.number(_COMPRESSION, 1) == 1:
        is_plain = directory.numbers(_SUBSAMPLING, (2, 2)) == (1, 1) and directory.number(_PLANAR, 1) == 1
        return "" if is_plain and bits == 8 else "uncompressed YCbCr with fewer samples of color, or in planes,"
    if bits <= 8 or (bits == 16 and directory.number(_PHOTOMETRIC, -1) == _INKS):
        return ""
    names = {1: "integers in this layout", 2: "signed integers", 3: "floating point numbers"}
    return f"pixels of {bits}-bit {names.get(directory.number(_SAMPLE_FORMAT, 1), 'numbers')}"


def read_size(directory: Directory) -> tuple[int, int]:
    """Read width and height as stored, in pixels."""
    return directory.number(_WIDTH, 0), directory.number(_HEIGHT, 0)


def read_orientation(directory: Directory) -> int:
    """Read the orientation 1..8 (TIFF 6.0, section 8); 1 if there is none or it makes no sense."""
    value = directory.number(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def decode16(directory: Directory) -> Array:
    """Decode (H, W, 1..4) uint16 as stored, not yet upright: gray, gray and alpha, RGB or RGBA, never premultiplied.

    OSError, ValueError, SyntaxError, struct.error: the file is damaged or truncated.
    """
    samples = directory.number(_SAMPLES, 1)
    planes = samples if directory.number(_PLANAR, 1) == 2 else 1
    pixels = np.dstack([_decode_plane(directory, plane, samples // planes) for plane in range(planes)])
    photometric = directory.number(_PHOTOMETRIC, -1)
    colors = _COLORS[photometric]
    if photometric == _WHITE_IS_ZERO:
        pixels[:, :, 0] = 65535 - pixels[:, :, 0]
    extra = directory.numbers(_EXTRA, (_STRAIGHT,))  # files that forget to say mean this
    kind = extra[0] if samples > colors else 0
    if kind not in (_PREMULTIPLIED, _STRAIGHT):
        return pixels[:, :, :colors]  # a channel that says nothing of transparency
    with_alpha = pixels[:, :, : colors + 1]
    return _unpremultiply(with_alpha) if kind == _PREMULTIPLIED else with_alpha


def make_byte_view(directory: Directory, plane: int = 0) -> bytes:
    """Build the file as a gray 8-bit image of the bytes of its 16-bit samples, metadata included.

    Where the channels lie apart, it is that of one plane.
    """
    samples = directory.number(_SAMPLES, 1)
    apart = directory.number(_PLANAR, 1) == 2
    pixel_bytes = 2 if apart else 2 * samples
    replaced: dict[int, tuple[int, ...]] = {
        _WIDTH: (directory.number(_WIDTH, 0) * pixel_bytes,),
        _BITS: (8,),
        _PHOTOMETRIC: (_BLACK_IS_ZERO,),
        _ORIENTATION: (1,),
        _SAMPLES: (1,),
        _PLANAR: (1,),
        _PREDICTOR: (1,),
    }
    if _TILE_WIDTH in directory.entries:
        replaced[_TILE_WIDTH] = (directory.number(_TILE_WIDTH, 0) * pixel_bytes,)
    for tag in (_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES):
        if numbers := directory.numbers(tag):
            count = len(numbers) // (samples if apart else 1)
            replaced[tag] = numbers[plane * count : (plane + 1) * count]
    return prepend_directory(directory, replaced, _NOT_OF_BYTES)


def encode(pages: Sequence[tuple[Array, Metadata]]) -> bytes:
    """Encode pages, each as one deflated strip with horizontal prediction: (H, W, 1..4) uint8 or uint16."""
    file = io.BytesIO()
    link = 0
    for pixels, metadata in pages:
        directory, strip = _encode_page(pixels, metadata)
        if file.tell() % 2:
            file.write(b"\0")
        start = file.tell()
        directory.save(file)  # the first one with the head of the file, which ends with its offset
        file.write(strip)
        written = file.getbuffer()
        start = start or 8
        if link:
            struct.pack_into("<L", written, link, start)
        (entries,) = struct.unpack_from("<H", written, start)
        link = start + 2 + 12 * entries  # where the offset of the next directory stands
        written.release()
    return file.getvalue()


def _encode_page(pixels: Array, metadata: Metadata) -> tuple[ImageFileDirectory_v2, bytes]:
    height, width, channels = pixels.shape
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    predicted = little.copy()
    predicted[:, 1:] -= little[:, :-1]  # wraps around, as TIFF 6.0 section 14 wants it
    strip = zlib.compress(predicted.data, 4)
    layout: dict[int, Any] = {
        _WIDTH: width,
        _HEIGHT: height,
        _BITS: (pixels.dtype.itemsize * 8,) * channels,
        _COMPRESSION: 8,  # deflate
        _PHOTOMETRIC: _BLACK_IS_ZERO if channels <= 2 else _RGB,
        _STRIP_OFFSETS: 0,  # the directory adds its own length
        _SAMPLES: channels,
        _ROWS_PER_STRIP: height,
        _STRIP_BYTES: len(strip),
        _PLANAR: 1,  # channels interleaved
        _PREDICTOR: 2,  # horizontal
    }
    if channels in (2, 4):
        layout[_EXTRA] = _STRAIGHT
    directory = _make_directory(metadata)
    for tag, value in layout.items():
        directory[tag] = value
    return directory, strip


def _make_directory(metadata: Metadata) -> ImageFileDirectory_v2:
    """Make a tag directory that holds the metadata and nothing about pixels yet."""
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
    blocks = (_XMP, metadata.xmp, BYTE), (_PHOTOSHOP, metadata.iptc, BYTE), (_ICC, metadata.icc, UNDEFINED)
    for tag, content, kind in blocks:
        if content:
            directory.tagtype[tag] = kind
            directory[tag] = content
    if metadata.dpi:
        directory[_X_RESOLUTION], directory[_Y_RESOLUTION] = metadata.dpi
        directory[_RESOLUTION_UNIT] = 2  # dots an inch
    return directory


def _decode_plane(directory: Directory, plane: int, samples: int) -> Array:
    """Decode one plane of interleaved samples -> (H, W, samples) uint16."""
    width, height = read_size(directory)
    rows = np.array(UnlimitedTiff(io.BytesIO(make_byte_view(directory, plane)), ""))
    pixels = rows.view(f"{directory.form.order}u2").reshape(height, width, samples).astype(np.uint16)
    if directory.number(_PREDICTOR, 1) == 2:
        step = directory.number(_TILE_WIDTH, width) or width
        for left in range(0, width, step):  # differences begin anew in every tile; they wrap around
            part = pixels[:, left : left + step]
            np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return pixels


def _unpremultiply(pixels: Array) -> Array:
    """Divide the colors by the alpha that they were multiplied with."""
    alpha = pixels[:, :, -1:].astype(np.float64)
    colors = np.divide(pixels[:, :, :-1] * 65535.0, alpha, out=np.zeros(pixels[:, :, :-1].shape), where=alpha > 0)
    return np.dstack([np.rint(np.minimum(colors, 65535)).astype(np.uint16), pixels[:, :, -1:]])
