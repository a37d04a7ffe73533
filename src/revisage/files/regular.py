"""Bytes of regular files. What is none can be waited for or read for ever: pipes, sockets, terminals, ``/dev/zero``."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def read_regular(path: Path, most: int | None = None) -> bytes:
    """All bytes of a regular file, as it is at this moment.

    Args:
        path: a file, or a link to one.
        most: a file of more bytes is refused.

    Raises:
        OSError: it cannot be read, is no regular file, or is too large; ``strerror`` says which.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size} bytes, more than the {most} that are read", str(path))
        return file.read()


def open_regular(path: str | Path) -> BinaryIO:
    """A regular file, opened to be read.

    Raises:
        OSError: it cannot be opened, or is no regular file; ``strerror`` says which.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no file has a name like this", str(path))
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (pathlib's takes no opener; the caller's)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))
    return file


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe that nobody writes to at once, too; that it is one can be seen then. Windows has none."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
