"""One attempt at one address: ask for what is still missing of a file, and append what comes.

A file grows beside its target as ``NAME.part.SUFFIX``. ``NAME.part.json`` keeps the address and the validator (a strong
ETag, or the date of the last change) that a later request needs so as not to join two versions of a file: RFC 9110,
sections 13.1.5 and 14.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

Progress = Callable[[int, int | None], None]
"""Takes the bytes that are there and the bytes that there will be, None if unknown."""

_CHUNK = 1 << 20
_GONE = (401, 403, 404, 410)


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
        """``url`` and ``validator`` of what is there; empty if that is not known."""
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(content, dict) and isinstance(content.get("validator"), str):
                return content
        return {}

    def begin(self, url: str, validator: str | None) -> None:
        """Empty it for what comes from an address."""
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
    """Make ``partial`` whole from one address.

    Args:
        url: http or https.
        partial: goes on where it ends, if it is certain that the rest belongs to it; else from the start.
        size: bytes of the whole file, None if unknown.
        same_everywhere: a beginning from another address may be completed from this one.
        progress: called after each piece.
        timeout: seconds without a byte after which a connection counts as broken.

    Raises:
        TransferError: it is not whole; what has come is kept.
        OSError: of the disk.
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
    """What a header says, if it is a number of bytes that a disk could have."""
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
