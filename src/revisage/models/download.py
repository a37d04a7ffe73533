"""Files from the network: fetched once, checked, and either whole or not there.

A file grows beside its target as ``NAME.part.SUFFIX``. ``NAME.part.json`` keeps the address and the validator (a strong
ETag, or the date of the last change) that a later request needs so as not to join two versions of a file: RFC 9110,
sections 13.1.5 and 14.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock

from revisage.errors import CheckpointError, DownloadError, OutputError

Progress = Callable[[int, int | None], None]
"""Takes the bytes that are there and the bytes that there will be, None if unknown."""
Check = Callable[[Path], object]
"""Raises CheckpointError if a file is not the expected one."""
_CHUNK = 1 << 20
_GONE = (401, 403, 404, 410)


@dataclass(frozen=True)
class Remote:
    """A file on the network.

    Attributes:
        name: file name on the disk.
        urls: where it is published; tried in this order.
        size: bytes, None if unknown.
        sha256: hexadecimal, None if unknown.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class RetryPolicy:
    """When to give up: seconds without a byte, rounds over the addresses, seconds before the second (then doubled)."""

    timeout: float = 30.0
    rounds: int = 4
    pause: float = 0.5


def download(
    remote: Remote,
    folder: Path,
    *,
    mirror: str | None = None,
    check: Check | None = None,
    progress: Progress | None = None,
    retry: RetryPolicy = RetryPolicy(),
) -> Path:
    """Fetch a file, unless it is there already; of several processes that want it one fetches and the others wait.

    Args:
        remote: what, and from where.
        folder: where to; made if need be.
        mirror: a base address that is asked for the file by its name before the published addresses.
        check: looks at the whole file before it gets its name.
        progress: called after each piece.
        retry: when to give up.

    Returns:
        ``folder / remote.name``.

    Raises:
        DownloadError: no address gave the file. Received bytes are kept, and the next call resumes there.
        OutputError: it cannot be written.
    """
    target = folder / remote.name
    urls = [*([f"{mirror}/{quote(remote.name)}"] if mirror else []), *remote.urls]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{remote.name}.lock", thread_local=False):
            if not target.is_file():
                partial = Partial(target)
                _fetch(remote, urls, partial, check, progress or (lambda _, __: None), retry)
                partial.finish(target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def manual_download_hint(remote: Remote, folder: Path) -> str:
    """Instructions for a manual download, one line."""
    size = f" ({remote.size / 1e6:.1f} MB)" if remote.size else ""
    return f"to download it manually, get {remote.urls[0]}{size} and put it at {folder / remote.name}"


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(
    remote: Remote, urls: list[str], partial: Partial, check: Check | None, progress: Progress, retry: RetryPolicy
) -> None:
    """Make ``partial`` whole and right, from whichever address."""
    failures: dict[str, TransferError] = {}
    for attempt in range(retry.rounds):
        hopeful = [url for url in urls if url not in failures or not failures[url].final]
        if attempt and hopeful:
            time.sleep(retry.pause * 2 ** (attempt - 1))
        for url in hopeful:
            try:
                if remote.size is None or partial.size != remote.size:
                    receive(
                        url,
                        partial,
                        size=remote.size,
                        same_everywhere=remote.sha256 is not None,  # if it is not, the sum will tell
                        progress=progress,
                        timeout=retry.timeout,
                    )
                _verify(remote, partial, check)
                return
            except TransferError as failure:
                failures[url] = failure
    told = "; ".join(dict.fromkeys(f"{_host(url)}: {failure}" for url, failure in failures.items()))
    raise DownloadError(f"cannot download {remote.name} ({told}); {manual_download_hint(remote, partial.path.parent)}")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:  # a mirror of the environment may be no address
        return url


def _verify(remote: Remote, partial: Partial, check: Check | None) -> None:
    """Drop a file that is not the one meant."""
    fault = _fault(remote, partial, check)
    if fault:
        partial.drop()
        raise TransferError(fault)


def _fault(remote: Remote, partial: Partial, check: Check | None) -> str | None:
    if remote.size not in (None, partial.size):
        return f"gave {partial.size} bytes, the file has {remote.size}"
    if remote.sha256:
        found = sha256_of(partial.path)
        if found != remote.sha256:
            return f"gave another file, its SHA-256 is {found[:12]}..., not {remote.sha256[:12]}..."
    if check:
        try:
            check(partial.path)
        except CheckpointError as error:
            return str(error)
    return None


class TransferError(Exception):
    """Why an address did not give a file this time; never leaves ``files``.

    Attributes:
        final: it never will.
    """

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Partial:
    """The beginning of a file on the disk, and where it came from.

    Attributes:
        path: the beginning; its suffix is that of the target, which says how weights are read.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_suffix(f".part{target.suffix}")
        self._note = target.with_suffix(".part.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def origin(self) -> dict[str, Any]:
        """``url`` and ``validator`` of the partial file; empty if unknown."""
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(content, dict) and isinstance(content.get("validator"), str):
                return content
        return {}

    def begin(self, url: str, validator: str | None) -> None:
        """Empty it before a download from an address."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def finish(self, target: Path) -> None:
        """Give the whole file its name, once its bytes are on the disk."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self.drop()

    def drop(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def receive(
    url: str, partial: Partial, *, size: int | None, same_everywhere: bool, progress: Progress, timeout: float
) -> None:
    """Make ``partial`` whole from one address (TransferError: it is not; received bytes are kept).

    It is resumed if the rest certainly belongs to it (with ``same_everywhere`` also from another address), else started
    anew. ``timeout``: seconds without a byte after which a connection counts as broken.
    """
    start = partial.size
    with _open(url, _resumption(url, partial, same_everywhere), partial, timeout) as response:
        if response.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # it was whole already
        offset, total = _extent(response, start)
        if size is not None and total is not None and total != size:
            raise TransferError(f"offers {total} bytes, the file has {size}")
        if not offset:
            partial.begin(url, _validator(response.headers))
        _append(response, partial, offset, total or size, progress)


def _open(url: str, headers: dict[str, str], partial: Partial, timeout: float) -> Any:
    """A response with status 200, 206, or 416 if the file turns out to be whole."""
    if not url.startswith(("https://", "http://")):
        raise TransferError("only http and https are spoken", final=True)
    try:
        return urlopen(Request(url, headers={"User-Agent": "revisage"} | headers), timeout=timeout)
    except HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{partial.size}":
                return error
            partial.drop()
        raise TransferError(f"HTTP {error.code} {error.reason}", final=error.code in _GONE) from error
    except URLError as error:
        raise TransferError(getattr(error.reason, "strerror", None) or str(error.reason)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: an address that is none
        raise TransferError(str(error) or type(error).__name__) from error


def _resumption(url: str, partial: Partial, same_everywhere: bool) -> dict[str, str]:
    """Headers that ask for the rest only, if it is certain to be the rest of the same file."""
    if not partial.size:
        return {}
    origin = partial.origin()
    rest = {"Range": f"bytes={partial.size}-"}
    if origin.get("url") == url and origin.get("validator"):
        return rest | {"If-Range": origin["validator"]}
    return rest if same_everywhere else {}


def _extent(response: http.client.HTTPResponse, start: int) -> tuple[int, int | None]:
    """Where in the file a response begins, and the size of the whole file if it says that."""
    length = response.headers.get("Content-Length", "")
    if response.status == http.client.OK:  # ranges are not understood, or the file is another one now
        return 0, _number(length)
    answered = response.headers.get("Content-Range", "")
    if response.status != http.client.PARTIAL_CONTENT or not answered.startswith(f"bytes {start}-"):
        raise TransferError(f"HTTP {response.status} {answered or response.reason}, asked for the bytes from {start}")
    return start, _number(answered.rpartition("/")[2])


def _number(text: str) -> int | None:
    """The value of a header, if it is a number of bytes that a disk could have."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _validator(headers: http.client.HTTPMessage) -> str | None:
    """What If-Range accepts: an ETag that promises equal bytes, or a date."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _append(
    response: http.client.HTTPResponse, partial: Partial, offset: int, total: int | None, progress: Progress
) -> None:
    received = offset
    progress(received, total)
    with partial.path.open("r+b") as file:
        file.seek(offset)
        while (total is None or received <= total) and (chunk := _read(response)):
            file.write(chunk)
            received += len(chunk)
            progress(received, total)
    if total is not None and received < total:
        raise TransferError(f"the connection broke after {received} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next piece, as soon as some of it is there; empty at the end."""
    try:
        return response.read1(_CHUNK)
    except TimeoutError as error:
        raise TransferError("the connection stalled") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(f"the connection broke: {error}") from error
