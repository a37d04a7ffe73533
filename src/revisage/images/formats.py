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
        writable: whether results can be written in it; GIF holds 256 colors, too few for a photo.
        has_alpha: whether it holds transparency.
        has_uint16: whether it holds more than 8 bits a channel.
        max_size: limit to width and height, in pixels.
        quality: default of a lossy format, 1..100; None for a lossless one.
    """

    name: str
    writable: bool = True
    has_alpha: bool = True
    has_uint16: bool = False
    max_size: int = 2**31 - 1
    quality: int | None = None


JPEG = Format("JPEG", has_alpha=False, max_size=65_500, quality=95)
PNG = Format("PNG", has_uint16=True)
TIFF = Format("TIFF", has_uint16=True)
WEBP = Format("WEBP", max_size=16_383, quality=95)
AVIF = Format("AVIF", max_size=65_536, quality=90)
BMP = Format("BMP", has_alpha=False)
HEIF = Format("HEIF", has_uint16=True, max_size=16_384, quality=90)
GIF = Format("GIF", writable=False)

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
READABLE = ", ".join(dict.fromkeys(entry.name for entry in FORMATS.values()))
"""Names of the formats that can be read, for messages."""
WRITABLE = ", ".join(extension[1:] for extension, entry in FORMATS.items() if entry.writable)
"""Extensions that results can have, for messages."""


def has_image_extension(path: Path) -> bool:
    """Whether the extension is one of an image that can be read; the content is not looked at."""
    return path.suffix.lower() in FORMATS
