"""The XMP packet of a photo (ISO 16684-1), made to fit the restored one by changing single values in its text."""

from __future__ import annotations

import re

_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[2-8]")
_WIDTH = re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:\s*=\s*[\"']|>))\d+")
_HEIGHT = re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:\s*=\s*[\"']|>))\d+")
_PREVIEWS = re.compile(rb"<(xmp|xap):Thumbnails\b[^>]*>.*?</\1:Thumbnails>", re.DOTALL)
_FILM = re.compile(rb"(Camera:(?:MotionPhoto|MicroVideo)(?:\s*=\s*[\"']|>))1")
"""A phone's mark that a short film lies behind the photo; it does not come along."""


def upright(packet: bytes, size: tuple[int, int]) -> bytes:
    """Set a packet to orientation 1 and the new size; previews of the old picture are taken out.

    Args:
        packet: UTF-8 XML.
        size: width and height of the new picture.
    """
    width, height = (str(side).encode() for side in size)
    packet = _ORIENTATION.sub(rb"\g<1>1", packet)
    packet = _WIDTH.sub(rb"\g<1>" + width, packet)
    packet = _HEIGHT.sub(rb"\g<1>" + height, packet)
    return _FILM.sub(rb"\g<1>0", _PREVIEWS.sub(b"", packet))
