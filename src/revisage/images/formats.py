"""Which picture formats can be read and written, and what each can hold. One literal table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from revisage.errors import OutputError


@dataclass(frozen=True, slots=True)
class Format:
    """A picture format.

    Attributes:
        name: what Pillow calls it.
        writable: whether results can be written in it; GIF holds 256 colours, too few for a photo.
        alpha: whether it holds transparency.
        deep: whether it holds more than 8 bits a channel.
        longest: pixels that a side may have at most.
        quality: default for formats that lose something, 1..100; None for the lossless ones.
    """

    name: str
    writable: bool = True
    alpha: bool = True
    deep: bool = False
    longest: int = 2**31 - 1
    quality: int | None = None


JPEG = Format("JPEG", alpha=False, longest=65_500, quality=95)
PNG = Format("PNG", deep=True)
TIFF = Format("TIFF", deep=True)
WEBP = Format("WEBP", longest=16_383, quality=95)
AVIF = Format("AVIF", longest=65_536, quality=90)
BMP = Format("BMP", alpha=False)
HEIF = Format("HEIF", deep=True, longest=16_384, quality=90)
GIF = Format("GIF", writable=False)

FORMATS: Mapping[str, Format] = {
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".jfif": JPEG,
    ".png": PNG,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": WEBP,
    ".avif": AVIF,
    ".heic": HEIF,
    ".heif": HEIF,
    ".hif": HEIF,
    ".bmp": BMP,
    ".gif": GIF,
}
"""File extension in lower case -> format."""
READABLE = ", ".join(dict.fromkeys(entry.name for entry in FORMATS.values()))
"""Names of the formats that can be read, for messages."""
WRITABLE = ", ".join(extension[1:] for extension, entry in FORMATS.items() if entry.writable)
"""Extensions that results can have, for messages."""


def has_picture_name(path: Path) -> bool:
    """Whether the extension is one of a picture that can be read; the content is not looked at."""
    return path.suffix.lower() in FORMATS


def output_format(path: Path) -> Format:
    """The format that the extension of ``path`` asks for.

    Raises:
        OutputError: the extension is not that of a format that can be written.
    """
    entry = FORMATS.get(path.suffix.lower())
    if entry is None or not entry.writable:
        raise OutputError(f"cannot write {path}: not one of the formats {WRITABLE}")
    return entry
