"""Atomic writes (a temporary file beside the target, then a rename) and reads that no pipe or device can block."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from revisage.errors import OutputError

PREFIX = ".revisage-"
"""Of the names of temporary files."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Yield a temporary path in ``path``'s folder; on success it becomes ``path``, on any error it is removed.

    The earlier content of ``path`` stays intact until the rename. Folders are made as needed. The file gets the
    permissions that the umask leaves, whoever wrote the temporary one. OutputError: disk full, no permission, or any
    other failure of the file system.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.with_name(f"{PREFIX}{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
        name.touch(exist_ok=False)
        temporary = name
        permissions = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) != permissions:  # safetensors puts a file of mode 600 in its place
            temporary.chmod(permissions)
        flush(temporary)
        temporary.replace(path)
    except OSError as error:
        why = describe_write_error(error.errno, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {why}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder; only where no other process is writing."""
    with suppress(OSError):  # gone, or not ours to remove: they are in nobody's way
        for leftover in folder.glob(f"{PREFIX}*"):
            leftover.unlink(missing_ok=True)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error or one of its causes says that the disk is full or the quota used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            return True
        error = error.__cause__
    return False


def describe_write_error(code: int | None, fallback: str) -> str:
    """Say in a few words why a file could not be written: the meaning of an ``errno``, or ``fallback``."""
    if code in _DISK_FULL:
        return "the disk is full"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there"
    return fallback


def safe_read(path: Path, max_bytes: int | None = None) -> bytes:
    """Read all bytes of a regular file.

    OSError: it cannot be read, is no regular file, or is too large; ``strerror`` says which.
    """
    with safe_open(path) as file:
        size = os.fstat(file.fileno()).st_size
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"it has {size} bytes, more than the {max_bytes} that are read", str(path))
        return file.read()


def safe_open(path: str | Path) -> BufferedReader:
    """Open a regular file for reading; a pipe or device is refused at once.

    OSError: it cannot be opened, or is no regular file; ``strerror`` says which.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no file has a name like this", str(path))
    file = open(path, "rb", opener=_open_nonblocking)  # noqa: SIM115 (pathlib's takes no opener; the caller's)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))
    return file


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a pipe that nobody writes to without waiting. Windows has none."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def flush(path: Path) -> None:
    """Bring the bytes to the disk: a rename must not outlive the content it names."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def free_bytes(path: Path) -> int:
    """Free space where a file would be written; its folder may not be there yet."""
    folder = next(above for above in path.absolute().parents if above.exists())
    return shutil.disk_usage(folder).free


def describe_size(number: int) -> str:
    """``1.5 GB``, ``0.3 MB``."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
