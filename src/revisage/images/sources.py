"""Where image files come from: paths, bytes, file objects."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, TypeAlias

from revisage.errors import ImageError, InputError
from revisage.files import safe_read

ImageSource: TypeAlias = str | Path | bytes | BinaryIO
"""A file's path, its bytes, or a file object that is open for reading bytes."""


def read_source(source: ImageSource) -> tuple[bytes, str]:
    """Read a file -> its bytes, and its name for messages.

    A file object is read from where it stands (at its end: from the start), and left there if it can be, so that it can
    be read again. ImageError: it cannot be read, or is empty. InputError: it is nothing of the kind.
    """
    name = name_of(source)
    try:
        data = source if isinstance(source, bytes) else _read(source)
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror or error}") from error
    if not data:
        raise ImageError(f"cannot read {name}: the file is empty")
    return data, name


def name_of(source: object) -> str:
    """How messages call a source."""
    if isinstance(source, str | Path):
        return str(source)
    found = getattr(source, "name", None)
    return found if isinstance(found, str) else "the image"


def path_of(source: object) -> Path | None:
    """The path of a source that is given by one, else None."""
    return Path(source) if isinstance(source, str | Path) else None


def _read(source: str | Path | BinaryIO) -> bytes:
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            raise ImageError(f"cannot read {path}: it is a folder")
        return safe_read(path)
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if not hasattr(source, "read"):
        raise InputError(f"an image file is a path, bytes or a file object, not {type(source).__name__}")
    start = source.tell() if source.seekable() else None
    data = source.read()
    if not data and start:  # it has just been written
        source.seek(0)
        data = source.read()
    if start is not None:
        source.seek(start)
    if not isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"{name_of(source)} is open for text; open it with 'rb'")
    return data
