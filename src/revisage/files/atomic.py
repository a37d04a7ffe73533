"""Files that are either whole or not there: write beside the target under a temporary name, then rename."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from revisage.errors import OutputError


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
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes files that only their owner may read; give the result what a plain open() would have given.
        temporary.chmod(0o666 & ~_umask())
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    """Bring the bytes to the disk, so that a rename never outlives the content it names."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there"
    return error.strerror or str(error)
