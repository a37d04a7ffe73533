"""Which films can be read and written, and with what they are encoded. One literal table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from revisage.errors import OutputError


@dataclass(frozen=True, slots=True)
class Container:
    """A film format that can be written.

    Attributes:
        name: what FFmpeg calls it.
        encoders: for 8 bits a channel, best first; the first that the build of FFmpeg has is taken.
        deep_encoders: for more bits, likewise.
    """

    name: str
    encoders: tuple[str, ...] = ("libx264", "libopenh264", "mpeg4")
    deep_encoders: tuple[str, ...] = ("libx265",)


MATROSKA = Container("matroska")
WEBM = Container("webm", ("libvpx-vp9",), ("libvpx-vp9",))
WRITABLE: Mapping[str, Container] = {
    ".mp4": Container("mp4"),
    ".m4v": Container("mp4"),
    ".mov": Container("mov"),
    ".mkv": MATROSKA,
    ".webm": WEBM,
}
"""File extension in lower case -> format."""
READ_ONLY = (".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob")
"""Extensions of films that are read, but become Matroska, which holds whatever streams they have."""


def has_video_name(path: Path) -> bool:
    """Whether the extension is one of a film that can be read; the content is not looked at."""
    return path.suffix.lower() in (*WRITABLE, *READ_ONLY)


def result_name(path: Path) -> str:
    """What the restored film is called: as the film, if its format can be written, else ``.mkv``."""
    return path.name if path.suffix.lower() in WRITABLE else f"{path.stem}.mkv"


def container_of(path: Path) -> Container:
    """The format that the extension of ``path`` asks for.

    Raises:
        OutputError: the extension is not that of a format that can be written.
    """
    container = WRITABLE.get(path.suffix.lower())
    if container is None:
        known = ", ".join(extension[1:] for extension in WRITABLE)
        raise OutputError(f"cannot write {path}: not one of the film formats {known}")
    return container
