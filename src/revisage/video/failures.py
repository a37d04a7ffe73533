"""What FFmpeg finds wrong, in one line of ours."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from av.error import FFmpegError

from revisage.errors import InputError, OutputError
from revisage.files import describe_write_error

_READING = {
    errno.ENOENT: "no such file",
    errno.EACCES: "no permission to read it",
    errno.EISDIR: "a folder, not a film",
}


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn faults met in a source into one line that names it.

    Raises:
        InputError: it is not there, may not be read, or is no film that FFmpeg can decode.
    """
    try:
        yield
    except (FFmpegError, OSError) as error:
        known = _READING.get(error.errno or 0, "not a film, or truncated or damaged")
        raise InputError(f"cannot read {path}: {known}") from error


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn faults met while writing into one line that names the result.

    Raises:
        OutputError: the disk is full, there is no permission, or FFmpeg refuses.
    """
    try:
        yield
    except (FFmpegError, OSError) as error:
        why = describe_write_error(error.errno, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {why}") from error
