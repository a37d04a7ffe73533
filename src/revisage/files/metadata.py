"""What a picture file carries beside its pixels, and how it goes along into the restored file."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import PIL.Image
from PIL.ExifTags import IFD, Base

_LAYOUT_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 296, 297}
    | {301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 338, 339, 340, 341, 347}
    | {513, 514, 529, 530, 531, 532, 700, 34675}
)
"""TIFF tags that say how the old file's pixels lie, or that travel on their own (resolution, XMP, ICC)."""
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")
_MALFORMED = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, OSError)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What travels from the source file to the restored one.

    Attributes:
        exif: as in a JPEG segment, with the ``Exif`` mark before it; orientation 1 (upright); empty if there is none.
        icc: colour profile that fits the written channels, or empty.
        xmp: XML packet with orientation 1, or empty.
        dpi: horizontal and vertical resolution, or None.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None


def metadata_of(opened: PIL.Image.Image, size: tuple[int, int], gray: bool) -> Metadata:
    """Metadata of an open picture, made to fit the picture that will be written.

    Malformed EXIF is left out: there is nothing in it to keep.

    Args:
        opened: as Pillow opened it.
        size: width and height of the picture to be written, in pixels.
        gray: whether it will be written in gray; a colour profile must be of the same kind.
    """
    info: dict[Any, Any] = opened.info
    xmp = info.get("xmp", b"")
    icc = info.get("icc_profile") or b""
    return Metadata(
        exif=_upright_exif(opened, size),
        # Bytes 16..19 of a profile name the colour space that it describes (ICC.1:2022, 7.2.6).
        icc=icc if icc[16:20] == (b"GRAY" if gray else b"RGB ") else b"",
        xmp=_XMP_ORIENTATION.sub(rb"\g<1>1", xmp.encode() if isinstance(xmp, str) else xmp),
        dpi=_dpi(info.get("dpi")),
    )


def orientation_of(opened: PIL.Image.Image) -> int:
    """EXIF (or XMP) orientation 1..8; 1 if there is none or it makes no sense."""
    try:
        orientation = opened.getexif().get(Base.Orientation, 1)
    except _MALFORMED:
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright_exif(opened: PIL.Image.Image, size: tuple[int, int]) -> bytes:
    try:
        exif = opened.getexif()
        for tag in _LAYOUT_TAGS & set(exif):
            del exif[tag]
        if not exif:
            return b""
        exif[Base.Orientation] = 1
        camera = exif.get_ifd(IFD.Exif) if IFD.Exif in exif else {}
        for tag, side in zip((Base.ExifImageWidth, Base.ExifImageHeight), size, strict=True):
            if tag in camera:
                camera[tag] = side
        return exif.tobytes()
    except _MALFORMED:
        return b""


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        horizontal, vertical = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (horizontal, vertical) if horizontal > 0 and vertical > 0 else None
