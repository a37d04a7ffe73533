"""Files that are either whole or not there: write beside the target under a temporary name, then rename."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from revisage.errors import OutputError

MARK = ".revisage-"
"""What the names of temporary files begin with."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path in ``path``'s folder; on success it becomes ``path``, on any error it is removed.

    The earlier content of ``path`` stays intact until the rename. Folders are made as needed.

    Raises:
        OutputError: disk full, no permission, or any other failure of the file system.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.with_name(f"{MARK}{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
        name.touch(exist_ok=False)
        temporary = name
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        why = why_unwritten(error.errno, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {why}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder; only where no other process is writing."""
    with suppress(OSError):  # gone, or not ours to remove: they are in nobody's way
        for leftover in folder.glob(f"{MARK}*"):
            leftover.unlink(missing_ok=True)


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that the disk is full or the quota used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


def _flush(path: Path) -> None:
    """Bring the bytes to the disk, so that a rename never outlives the content it names."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def why_unwritten(code: int | None, otherwise: str) -> str:
    """Why a file could not be written, in a few words: what an ``errno`` means, or ``otherwise``."""
    if code in _FULL:
        return "the disk is full"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there"
    return otherwise


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
