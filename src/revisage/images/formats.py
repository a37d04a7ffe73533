"""Image formats that can be read and written, and what each can hold: one literal table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Format:
    """An image format.

    Attributes:
        name: Pillow's name of it.
        writable: whether a photo can be written in it; GIF holds 256 colors, enough for an animation only.
        has_alpha: whether it holds transparency.
        has_uint16: whether it holds more than 8 bits a channel.
        max_size: limit to width and height, in pixels.
        quality: default of a lossy format, 1..100; None for a lossless one.
        metadata: those that it holds, names of ``METADATA``.
        frames: whether it holds more than one image: the frames of an animation, or pages.
    """

    name: str
    writable: bool = True
    has_alpha: bool = True
    has_uint16: bool = False
    max_size: int = 2**31 - 1
    quality: int | None = None
    metadata: frozenset[str] = frozenset({"exif", "icc", "xmp"})
    frames: bool = False


METADATA: Mapping[str, str] = {
    "exif": "EXIF",
    "icc": "the color profile",
    "xmp": "XMP",
    "xmp_extension": "the rest of XMP",
    "iptc": "IPTC data",
    "comment": "the comment",
    "texts": "the texts of a PNG file",
    "dpi": "the resolution",
}
"""Field of ``metadata.Metadata`` -> how messages name it."""
_ALL = frozenset(METADATA)

JPEG = Format("JPEG", has_alpha=False, max_size=65_500, quality=95, metadata=_ALL - {"texts"})
PNG = Format("PNG", has_uint16=True, metadata=_ALL - {"xmp_extension", "iptc"}, frames=True)
TIFF = Format("TIFF", has_uint16=True, metadata=frozenset({"exif", "icc", "xmp", "iptc", "dpi"}), frames=True)
WEBP = Format("WEBP", max_size=16_383, quality=95, frames=True)
AVIF = Format("AVIF", max_size=65_536, quality=90, frames=True)
BMP = Format("BMP", has_alpha=False, metadata=frozenset({"dpi"}))
HEIF = Format("HEIF", has_uint16=True, max_size=16_384, quality=90)
GIF = Format("GIF", writable=False, max_size=65_535, metadata=frozenset({"comment"}), frames=True)

FORMATS: Mapping[str, Format] = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), JPEG),
    ".png": PNG,
    **dict.fromkeys((".tif", ".tiff"), TIFF),
    ".webp": WEBP,
    ".avif": AVIF,
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIF),
    ".bmp": BMP,
    ".gif": GIF,
}
"""File extension in lower case -> format."""
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Names of the formats whose files may hold animations."""
READABLE = ", ".join(dict.fromkeys(entry.name for entry in FORMATS.values()))
"""Names of the formats that can be read, for messages."""
WRITABLE = ", ".join(extension[1:] for extension, entry in FORMATS.items() if entry.writable)
"""Extensions that results can have, for messages."""


def has_image_extension(path: Path) -> bool:
    """Whether the extension is one of an image that can be read; the content is not looked at."""
    return path.suffix.lower() in FORMATS


def by_name(name: str | None) -> Format | None:
    """Find a format by Pillow's name of it."""
    name = "JPEG" if name == "MPO" else name
    return next((one for one in FORMATS.values() if one.name == name), None)


def extension_of(target: Format) -> str:
    """The usual extension of a format, with its dot."""
    return next(extension for extension, one in FORMATS.items() if one is target)
