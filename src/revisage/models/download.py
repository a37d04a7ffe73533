"""Files from the network: fetched once, checked, and either whole or not there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from revisage.errors import CheckpointError, DownloadError, OutputError
from revisage.jobs.lock import locked
from revisage.models.transfer import Partial, Progress, TransferError, receive

Check = Callable[[Path], object]
"""Raises CheckpointError if a file is not what it should be."""


@dataclass(frozen=True)
class Remote:
    """A file on the network.

    Attributes:
        name: what it is called on the disk.
        urls: where it is published; tried in this order.
        size: bytes, None if unknown.
        sha256: hexadecimal, None if unknown.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Patience:
    """When to give up.

    Attributes:
        timeout: seconds without a byte after which a connection counts as broken.
        rounds: how often each address is tried.
        pause: seconds before the second round; doubles with each.
    """

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
    patience: Patience = Patience(),
) -> Path:
    """Fetch a file, unless it is there already; of several processes that want it one fetches and the others wait.

    Args:
        remote: what, and from where.
        folder: where to; made if need be.
        mirror: a base address that is asked for the file by its name before the published addresses.
        check: looks at the whole file before it gets its name.
        progress: called after each piece.
        patience: when to give up.

    Returns:
        ``folder / remote.name``.

    Raises:
        DownloadError: no address gave the file. What has come is kept, and the next call goes on from there.
        OutputError: it cannot be written.
    """
    target = folder / remote.name
    urls = [*([f"{mirror}/{quote(remote.name)}"] if mirror else []), *remote.urls]
    try:
        with locked(folder / f".{remote.name}.lock"):
            if not target.is_file():
                partial = Partial(target)
                _fetch(remote, urls, partial, check, progress or _silent, patience)
                partial.finish(target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def by_hand(remote: Remote, folder: Path) -> str:
    """What to do with the file from elsewhere, one line."""
    size = f" ({remote.size / 1e6:.1f} MB)" if remote.size else ""
    return f"to do it by hand, get {remote.urls[0]}{size} and put it at {folder / remote.name}"


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(
    remote: Remote, urls: list[str], partial: Partial, check: Check | None, progress: Progress, patience: Patience
) -> None:
    """Make ``partial`` whole and right, from whichever address."""
    failures: dict[str, TransferError] = {}
    for attempt in range(patience.rounds):
        hopeful = [url for url in urls if url not in failures or not failures[url].final]
        if attempt and hopeful:
            time.sleep(patience.pause * 2 ** (attempt - 1))
        for url in hopeful:
            try:
                if remote.size is None or partial.size != remote.size:
                    receive(
                        url,
                        partial,
                        size=remote.size,
                        same_everywhere=remote.sha256 is not None,  # if it is not, the sum will tell
                        progress=progress,
                        timeout=patience.timeout,
                    )
                _verify(remote, partial, check)
                return
            except TransferError as failure:
                failures[url] = failure
    told = "; ".join(dict.fromkeys(f"{_host(url)}: {failure}" for url, failure in failures.items()))
    raise DownloadError(f"cannot download {remote.name} ({told}); {by_hand(remote, partial.path.parent)}")


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


def _silent(_done: int, _total: int | None) -> None:
    pass
