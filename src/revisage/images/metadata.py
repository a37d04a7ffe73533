"""What a picture file carries beside its pixels, and how it goes along into the restored file."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from PIL.ExifTags import IFD, Base

from revisage.images import exif, xmp
from revisage.images import iptc as photoshop
from revisage.images.icc.chromaticities import ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES, D65, SRGB_PRIMARIES, rgb_profile

TIFF_LAYOUT_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 296, 297}
    | {301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 338, 339, 340, 341, 347}
    | {513, 514, 529, 530, 531, 532, 700, 33723, 34377, 34675, 37724}
)
"""TIFF tags that say how the old file's pixels lie, or that travel on their own (resolution, XMP, IPTC, ICC), or hold
the old picture once more (Photoshop's layers)."""
_IPTC_TAG, _PHOTOSHOP_TAG = 33723, 34377
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_RAW_PROFILE = "Raw profile type "
_XMP_KEYWORD = "XML:com.adobe.xmp"
_MALFORMED = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, OSError)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What travels from the source file to the restored one.

    Attributes:
        exif: as in a JPEG segment, with the ``Exif`` mark before it; orientation 1 (upright); empty if there is none.
        icc: colour profile that fits the written channels, or empty.
        xmp: XML packet with orientation 1, or empty.
        xmp_extension: what of the XMP a JPEG file holds in segments of its own, as these segments' contents.
        dpi: horizontal and vertical resolution, or None.
        photoshop: image resource blocks, among them IPTC data, or empty.
        comment: that of a JPEG or GIF file, or empty.
        texts: keyword and text of a PNG file's remarks.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    xmp_extension: tuple[bytes, ...] = ()
    dpi: tuple[float, float] | None = None
    photoshop: bytes = b""
    comment: bytes = b""
    texts: tuple[tuple[str, str], ...] = ()


def metadata_of(opened: PIL.Image.Image, size: tuple[int, int], gray: bool) -> Metadata:
    """Metadata of an open picture, made to fit the picture that will be written.

    Malformed EXIF is left out: there is nothing in it to keep.

    Args:
        opened: as Pillow opened it, decoded.
        size: width and height of the picture to be written, in pixels.
        gray: whether it will be written in gray; a colour profile must be of the same kind.
    """
    info: dict[Any, Any] = opened.info
    packet = info.get("xmp") or _raw_profile(info, "xmp")
    segments = [content for marker, content in getattr(opened, "applist", ()) if marker == "APP1"]
    icc = profile_of(opened)
    block = _upright_exif(opened, size)
    return Metadata(
        exif=exif.MARK + block if block else b"",
        # Bytes 16..19 of a profile name the colour space that it describes (ICC.1:2022, 7.2.6).
        icc=icc if icc[16:20] == (b"GRAY" if gray else b"RGB ") else b"",
        xmp=xmp.upright(packet.encode() if isinstance(packet, str) else packet, size),
        xmp_extension=tuple(content for content in segments if content.startswith(_XMP_EXTENSION)),
        dpi=_dpi(info.get("dpi")),
        photoshop=photoshop.without_previews(_photoshop_blocks(opened)),
        comment=info.get("comment") or b"",
        texts=_texts(opened),
    )


def profile_of(opened: PIL.Image.Image) -> bytes:
    """The ICC profile of an open picture, or one that says what it states in other words; empty if there is none."""
    info: dict[Any, Any] = opened.info
    if icc := info.get("icc_profile"):
        return icc
    if opened.mode not in ("RGB", "RGBA", "P", "YCbCr"):
        return b""
    if exif.is_adobe_rgb(info.get("exif") or b""):
        return rgb_profile("Adobe RGB (1998)", ADOBE_RGB_GAMMA, primaries=ADOBE_RGB_PRIMARIES)
    return _png_profile(info)


def orientation_of(opened: PIL.Image.Image) -> int:
    """EXIF (or XMP) orientation 1..8; 1 if there is none or it makes no sense."""
    try:
        orientation = opened.getexif().get(Base.Orientation, 1)
    except _MALFORMED:
        return 1
    return orientation if orientation in range(1, 9) else 1


def _png_profile(info: Mapping[Any, Any]) -> bytes:
    """From the chunks gAMA and cHRM, unless a chunk says that they are those of sRGB (ISO 15948, 11.3.3)."""
    if "gamma" not in info or "chromaticity" not in info or "srgb" in info or not info["gamma"]:
        return b""
    white, red, green, blue = zip(*[iter(info["chromaticity"])] * 2, strict=True)
    if abs(info["gamma"] - 1 / 2.2) < 0.001 and np.allclose(
        (white, red, green, blue), (D65, *SRGB_PRIMARIES), atol=0.002
    ):
        return b""  # how many programs say sRGB
    try:
        return rgb_profile("PNG chromaticities", 1 / info["gamma"], white, (red, green, blue))
    except ValueError:
        return b""


def _upright_exif(opened: PIL.Image.Image, size: tuple[int, int]) -> bytes:
    block = opened.info.get("exif") or _raw_profile(opened.info, "exif") or _raw_profile(opened.info, "APP1")
    return exif.upright(block or _tiff_exif(opened), size) if block or opened.format == "TIFF" else b""


def _tiff_exif(opened: PIL.Image.Image) -> bytes:
    """The block that a JPEG file would have, from the tags of a TIFF file."""
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


def _photoshop_blocks(opened: PIL.Image.Image) -> bytes:
    segments = [content for marker, content in getattr(opened, "applist", ()) if marker == "APP13"]
    blocks = b"".join(content.removeprefix(photoshop.MARK) for content in segments if photoshop.MARK in content[:14])
    tags = getattr(opened, "tag_v2", {})
    if isinstance(found := tags.get(_PHOTOSHOP_TAG), bytes):
        blocks += found
    elif isinstance(found := tags.get(_IPTC_TAG), bytes):
        blocks += photoshop.iptc_block(found)
    return blocks or _raw_profile(opened.info, "iptc") or _raw_profile(opened.info, "8bim")


def _raw_profile(info: Mapping[Any, Any], kind: str) -> bytes:
    """What ImageMagick writes into PNG: a line with the name, one with the length, and hexadecimal digits."""
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
