"""Metadata of an image file (EXIF, XMP, IPTC, profile, texts), made to fit the restored image."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from PIL.ExifTags import IFD, Base

from revisage.images import exif, xmp
from revisage.images.icc import ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES, D65, SRGB_PRIMARIES, make_rgb_profile

TIFF_LAYOUT_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 296, 297}
    | {301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 338, 339, 340, 341, 347}
    | {513, 514, 529, 530, 531, 532, 700, 33723, 34377, 34675, 37724}
)
"""TIFF tags of the old file's pixel layout, of what travels on its own (resolution, XMP, IPTC, ICC), and of what holds
the old image once more (Photoshop's layers)."""
IPTC_MARK = b"Photoshop 3.0\0"
"""Stands before Photoshop's image resource blocks, in which IPTC data travels, in a JPEG segment."""
IPTC = 1028
"""Number of the block that holds IPTC records."""
_IPTC_TAG, _PHOTOSHOP_TAG = 33723, 34377
_IPTC_PREVIEWS = frozenset({1033, 1036})
_BLOCK_MARK = b"8BIM"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_XMP_KEYWORD = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "
_MALFORMED = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, OSError)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata that goes from the source file to the restored one.

    Attributes:
        exif: as in a JPEG segment, with the ``Exif`` mark before it; orientation 1 (upright); empty if there is none.
        icc: color profile that fits the written channels, or empty.
        xmp: XML packet with orientation 1, or empty.
        xmp_extension: contents of the segments in which a JPEG file holds the rest of its XMP.
        dpi: horizontal and vertical resolution, or None.
        iptc: image resource blocks, IPTC records among them, or empty.
        comment: that of a JPEG or GIF file, or empty.
        texts: keyword and text of a PNG file's text chunks.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    xmp_extension: tuple[bytes, ...] = ()
    dpi: tuple[float, float] | None = None
    iptc: bytes = b""
    comment: bytes = b""
    texts: tuple[tuple[str, str], ...] = ()


def read_metadata(opened: PIL.Image.Image, size: tuple[int, int], gray: bool) -> Metadata:
    """Read the metadata of an open, decoded image and make them fit the image of this size that will be written.

    Malformed EXIF is left out: there is nothing in it to keep. A color profile must be of ``gray`` if that will be.
    """
    info: dict[Any, Any] = opened.info
    packet = info.get("xmp") or _raw_profile(info, "xmp")
    icc, comment = find_profile(opened), info.get("comment")
    block = _upright_exif(opened, size)
    return Metadata(
        exif=exif.MARK + block if block else b"",
        # Bytes 16..19 of a profile name the color space that it describes (ICC.1:2022, 7.2.6).
        icc=icc if icc[16:20] == (b"GRAY" if gray else b"RGB ") else b"",
        xmp=xmp.set_upright(packet.encode() if isinstance(packet, str) else packet, size),
        xmp_extension=tuple(part for part in _jpeg_segments(opened, "APP1") if part.startswith(_XMP_EXTENSION)),
        dpi=_dpi(info.get("dpi")),
        iptc=drop_iptc_previews(_iptc(opened)),
        comment=comment if isinstance(comment, bytes) else b"",  # a text of that keyword in PNG is one of ``texts``
        texts=_texts(opened),
    )


def find_profile(opened: PIL.Image.Image) -> bytes:
    """Find the ICC profile of an open image, or make one of what it states in other words; empty if there is none."""
    info: dict[Any, Any] = opened.info
    if icc := info.get("icc_profile"):
        return icc
    if opened.mode not in ("RGB", "RGBA", "P", "YCbCr"):
        return b""
    if exif.is_adobe_rgb(info.get("exif") or b""):
        return make_rgb_profile("Adobe RGB (1998)", ADOBE_RGB_GAMMA, primaries=ADOBE_RGB_PRIMARIES)
    return _png_profile(info)


def read_orientation(opened: PIL.Image.Image) -> int:
    """Read the EXIF (or XMP) orientation 1..8; 1 if there is none or it makes no sense."""
    try:
        orientation = opened.getexif().get(Base.Orientation, 1)
    except _MALFORMED:
        return 1
    return orientation if orientation in range(1, 9) else 1


def drop_iptc_previews(blocks: bytes) -> bytes:
    """Leave out the image resource blocks that hold a small version of the old image, and all that is damaged."""
    return b"".join(whole for identifier, whole in _iterate_blocks(blocks) if identifier not in _IPTC_PREVIEWS)


def make_iptc_block(records: bytes) -> bytes:
    """Wrap bare IPTC records (as TIFF has them) in an image resource block."""
    padding = b"\0" * (len(records) % 2)
    return _BLOCK_MARK + struct.pack(">HHL", IPTC, 0, len(records)) + records + padding


def _iterate_blocks(blocks: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield identifier and bytes of every whole block (Adobe, Photoshop File Formats, "Image Resources")."""
    start = 0
    while blocks[start : start + 4] == _BLOCK_MARK and start + 12 <= len(blocks):
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


def _png_profile(info: Mapping[Any, Any]) -> bytes:
    """Make a profile of the chunks gAMA and cHRM, unless a chunk says that they are sRGB's (ISO 15948, 11.3.3)."""
    if "gamma" not in info or "chromaticity" not in info or "srgb" in info or not info["gamma"]:
        return b""
    white, *primaries = zip(*[iter(info["chromaticity"])] * 2, strict=True)
    if abs(info["gamma"] - 1 / 2.2) < 0.001 and np.allclose((white, *primaries), (D65, *SRGB_PRIMARIES), atol=0.002):
        return b""  # how many programs say sRGB
    try:
        return make_rgb_profile("PNG chromaticities", 1 / info["gamma"], white, tuple(primaries))
    except ValueError:
        return b""


def _upright_exif(opened: PIL.Image.Image, size: tuple[int, int]) -> bytes:
    block = opened.info.get("exif") or _raw_profile(opened.info, "exif") or _raw_profile(opened.info, "APP1")
    return exif.set_upright(block or _tiff_exif(opened), size) if block or opened.format == "TIFF" else b""


def _tiff_exif(opened: PIL.Image.Image) -> bytes:
    """Build the block that a JPEG file would have from the tags of a TIFF file."""
    try:
        tags = opened.getexif()
        for tag in TIFF_LAYOUT_TAGS & set(tags):
            del tags[tag]
        if set(tags) <= {Base.Orientation}:
            return b""
        for below in (IFD.Exif, IFD.GPSInfo):
            if below in tags:
                tags.get_ifd(below)
        return tags.tobytes()
    except _MALFORMED:
        return b""


def _iptc(opened: PIL.Image.Image) -> bytes:
    """Collect the image resource blocks of a JPEG, TIFF or PNG file."""
    segments = [part for part in _jpeg_segments(opened, "APP13") if IPTC_MARK in part[:14]]
    blocks = b"".join(part.removeprefix(IPTC_MARK) for part in segments)
    tags = getattr(opened, "tag_v2", {})
    if isinstance(found := tags.get(_PHOTOSHOP_TAG), bytes):
        blocks += found
    elif isinstance(found := tags.get(_IPTC_TAG), bytes):
        blocks += make_iptc_block(found)
    return blocks or _raw_profile(opened.info, "iptc") or _raw_profile(opened.info, "8bim")


def _jpeg_segments(opened: PIL.Image.Image, marker: str) -> list[bytes]:
    return [content for name, content in getattr(opened, "applist", ()) if name == marker]


def _raw_profile(info: Mapping[Any, Any], kind: str) -> bytes:
    """Read ImageMagick's form of metadata in PNG: a line with the name, one with the length, and hexadecimal digits."""
    text = info.get(_RAW_PROFILE + kind)
    if not isinstance(text, str):
        return b""
    lines = text.split("\n")
    try:
        return bytes.fromhex("".join(lines[3:]))
    except ValueError:
        return b""


def _texts(opened: PIL.Image.Image) -> tuple[tuple[str, str], ...]:
    try:
        text: Mapping[str, str] = getattr(opened, "text", {})
    except (AssertionError, *_MALFORMED):  # Pillow looks for them after all frames of an animation
        return ()
    kept = {key: str(value) for key, value in text.items() if key != _XMP_KEYWORD and not key.startswith(_RAW_PROFILE)}
    return tuple(kept.items())


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        horizontal, vertical = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (horizontal, vertical) if 0 < horizontal < math.inf and 0 < vertical < math.inf else None
