"""Objects in buckets as paths and sources, through fsspec: ``s3://``, ``gs://``, ``abfs://``, ``memory://`` and more.

Credentials, endpoints and the like are those of fsspec's configuration: environment, ``~/.config/fsspec``.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisage.errors import InputError, RevisageError
from revisage.jobs.collector import Kind, Source, Sources, kind_by_name

if TYPE_CHECKING:
    _PlainPath = Path
else:
    _PlainPath = type(Path())

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://(.*)", re.IGNORECASE)
_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")
"""Entries of an object's description that change with its content, by file system; the first that is there counts."""
_MISSING = (FileNotFoundError, NotADirectoryError)


class UnreachableError(InputError):
    """A storage service does not answer, or refuses: all other objects there would meet the same."""


class Address(_PlainPath):
    """The URL of an object or of a folder of objects, with the parts of ``Path`` that runs over files use."""

    def __str__(self) -> str:
        """The URL; ``Path`` knows it with one slash."""
        return super().__str__().replace(":/", "://", 1)

    def stat(self, *, follow_symlinks: bool = True) -> Any:  # noqa: ARG002
        """Size, kind and, in place of the modification time, a number that changes with the content.

        FileNotFoundError: there is no such object or folder. InputError: the bucket cannot be reached.
        """
        with reaching(self):
            info = self.filesystem().info(str(self))
        version = next((str(info[name]) for name in _VERSIONS if info.get(name) is not None), "")
        return _Stat(
            st_mode=stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG,
            st_size=int(info.get("size") or 0),
            st_mtime_ns=_number(version),
            st_ino=_number(str(self)),
        )

    def is_dir(self, **_: Any) -> bool:
        """Whether it is a folder, that is, objects lie below it."""
        try:
            return stat.S_ISDIR(self.stat().st_mode)
        except _MISSING:
            return False

    def filesystem(self) -> Any:
        """The ``fsspec.AbstractFileSystem`` of this URL (InputError: the package for its scheme is missing)."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise InputError(f"{self} needs fsspec: pip install 'revisage[scale]'") from error
        with reaching(self):
            return url_to_fs(str(self))[0]


class _Stat:
    """The fields of ``Path.stat`` that callers read."""

    st_dev = -1

    def __init__(self, **values: int) -> None:
        self.__dict__.update(values)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


@contextmanager
def reaching(address: Path) -> Generator[None]:
    """Turn what storage services raise into one line; a missing object stays ``FileNotFoundError``.

    Raises:
        UnreachableError: the bucket cannot be reached.
        InputError: there is no permission for this object, or the package for its service is missing.
    """
    try:
        yield
    except (*_MISSING, RevisageError):
        raise
    except ImportError as error:
        raise InputError(f"{address} needs another package: {error}") from error
    except PermissionError as error:
        raise InputError(f"no permission for {address}") from error
    except Exception as error:  # each service has exceptions of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreachableError(f"cannot reach {address}: {reason}") from error


def parse_location(text: str | Path) -> Path:
    """A URL as an :class:`Address`; a path, or a URL of ``file://``, as a path."""
    match = _SCHEME.fullmatch(str(text))
    if isinstance(text, Address) or match is None:
        return Path(text) if isinstance(text, str) else text
    return Path(match[2]) if match[1].lower() in ("file", "local") else Address(str(text))


class Objects(Sources):
    """Images in buckets, found anew by each iteration, one folder after the other; see ``collect_objects``."""

    def __iter__(self) -> Iterator[Source]:
        """The objects in the order of ``inputs``, sorted within a folder, objects before folders."""
        for address in self.inputs:
            if address.is_dir():
                yield from _walk(Address(address), Path(), self.leave_out)
            else:
                yield Source(address)


def collect_objects(urls: Sequence[str | Path], *, leave_out: Path | None = None) -> Objects:
    """Find the images that URLs of objects, folders and patterns stand for.

    Args:
        urls: of objects, of folders, which are searched to any depth, or patterns with ``*``, ``?``, ``[...]``.
        leave_out: folder of the results; it is not searched, and listed on the way, so that looking for results there
            takes no request for each.

    Raises:
        InputError: nothing is there, or a bucket cannot be reached.
    """
    inputs: list[Path] = []
    for address in map(Address, urls):
        filesystem = address.filesystem()
        filesystem.invalidate_cache()
        with reaching(address):
            if glob.has_magic(str(address)):
                found = [filesystem.unstrip_protocol(name) for name in sorted(filesystem.glob(str(address)))]
                inputs += [one for one in map(Address, found) if kind_by_name(one) is Kind.IMAGE]
                address = next(parent for parent in address.parents if not glob.has_magic(str(parent)))
            else:
                inputs.append(address)
            try:
                address.stat()  # unlike glob and exists, which find nothing, it says that a bucket cannot be reached
            except _MISSING:
                raise InputError(f"no object or folder {address}") from None
    sources = Objects(tuple(inputs), str(leave_out or ""), True, (Kind.IMAGE,))
    if next(iter(sources), None) is None:
        raise InputError(f"no images in {', '.join(map(str, urls))}")
    return sources


def _walk(folder: Address, below: Path, leave_out: str) -> Iterator[Source]:
    """Images in ``folder`` and below it; entries with an empty name, which no path has, are faults."""
    filesystem = folder.filesystem()
    with reaching(folder):
        entries = filesystem.ls(str(folder), detail=True)
    if leave_out:
        with suppress(*_MISSING, InputError):
            target = Address(leave_out) / below
            with reaching(target):
                target.filesystem().ls(str(target), detail=True)
    folders: list[Address] = []
    for entry in sorted(entries, key=lambda one: one["name"]):
        url = filesystem.unstrip_protocol(entry["name"].rstrip("/"))
        address = Address(url)
        if address == folder or address.name.startswith("."):
            continue
        if entry["type"] == "directory":
            folders += [] if str(address) == leave_out else [address]
        elif kind_by_name(address) is Kind.IMAGE:
            fault = "" if os.path.basename(url) == address.name else f"{url} has no name that a file can have"  # noqa: PTH119
            yield Source(address, below, fault)
    for inner in folders:
        yield from _walk(inner, below / inner.name, leave_out)
