"""The journal of a folder of results: whose each result is, and what became of each photo.

An SQLite database in that folder, ``.revisage/journal.sqlite``, with one row a result. A row is written before the
photo is begun and again when it is settled, so that whatever ends the process, the next run knows what was in the
making. Without a file the same database lies in temporary storage, and only keeps the names of results apart.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from revisage.errors import InputError, OutputError
from revisage.jobs.lock import locked

FOLDER = ".revisage"
NAME = "journal.sqlite"
VERSION = 1

_log = logging.getLogger(__name__)


class Status(StrEnum):
    """How far a photo has come."""

    STARTED = "started"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class Stamp(NamedTuple):
    """Tells whether a file has changed: its bytes, and when it last did, in nanoseconds."""

    size: int
    mtime: int


NO_FILE = Stamp(-1, 0)


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file, ``NO_FILE`` if there is none."""
    try:
        state = path.stat()
    except OSError:
        return NO_FILE
    return Stamp(state.st_size, state.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the journal. Paths are relative to the folder of the results, so that both can move together.

    Attributes:
        key: the name of the result as no other may have it, see ``names``.
        source: the photo.
        target: its result.
        run: number of the run that wrote this row.
        status: how far the photo has come.
        reason: one line, if it failed or faces were left alone.
        size: bytes of the source when it was begun.
        mtime: its time of change, in nanoseconds.
        result_size: likewise of the result when it was written last, -1 before.
        result_mtime: likewise.
        found: faces.
        restored: how many of them were restored.
        seconds: reading, restoring and writing.
        time: when the row was written, in seconds since 1970.
    """

    key: str
    source: str
    target: str
    run: int
    status: str
    reason: str = ""
    size: int = NO_FILE.size
    mtime: int = NO_FILE.mtime
    result_size: int = NO_FILE.size
    result_mtime: int = NO_FILE.mtime
    found: int = 0
    restored: int = 0
    seconds: float = 0.0
    time: float = 0.0


_COLUMNS = tuple(one.name for one in fields(Entry))
_values = attrgetter(*_COLUMNS)
_SCHEMA = f"""
BEGIN;
CREATE TABLE runs (run INTEGER PRIMARY KEY, settings, time);
CREATE TABLE results ({", ".join(_COLUMNS)}, PRIMARY KEY (key)) WITHOUT ROWID;
CREATE INDEX started ON results (status) WHERE status = '{Status.STARTED}';
PRAGMA user_version = {VERSION};
COMMIT;
"""
_PUT = f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * len(_COLUMNS))})"


class Journal:
    """The rows of a folder of results; any number of threads may use it. See :func:`opened`.

    Attributes:
        run: number of this run.
        settings: for each run so far, this one included, what its results were made with.
    """

    def __init__(self, database: sqlite3.Connection, output: Path, settings: str) -> None:
        self._database = database
        self._output = os.path.abspath(output)  # noqa: PTH100 (links stay: photos are called what they were called)
        self._lock = Lock()
        self._relative_folder = lru_cache(100)(self._relate)
        self._ask("INSERT INTO runs (settings, time) VALUES (?, ?)", [settings, time.time()])
        self.settings: dict[int, str] = dict(self._ask("SELECT run, settings FROM runs"))
        self.run = max(self.settings)

    def entry(self, key: str) -> Entry | None:
        """The row of a result."""
        rows = self._ask("SELECT * FROM results WHERE key = ?", [_stored(key)])
        return _entry(rows[0]) if rows else None

    def put(self, entry: Entry) -> None:
        """Write a row; when this returns, it outlives the process."""
        self._ask(_PUT, [_stored(value) for value in _values(entry)])

    def unfinished(self) -> list[Path]:
        """Results that were in the making when an earlier run ended."""
        rows = self._ask(f"SELECT target FROM results WHERE status = '{Status.STARTED}' AND run < ?", [self.run])
        return [self.absolute(_text(target)) for (target,) in rows]

    def forget_faults(self) -> None:
        """Drop the rows of folders that could not be listed, whose keys begin with "/": what still holds comes up."""
        self._ask("DELETE FROM results WHERE key >= '/' AND key < '0'")

    def relative(self, path: Path) -> str:
        """A path as rows have it."""
        folder, name = os.path.split(path)
        return os.path.join(self._relative_folder(folder), name)  # noqa: PTH118 (twice as quick, for each photo)

    def _relate(self, folder: str) -> str:
        try:
            below = os.path.relpath(folder or os.curdir, self._output)
        except ValueError:  # on another drive
            return os.path.abspath(folder)  # noqa: PTH100
        return "" if below == os.curdir else below

    def absolute(self, path: str) -> Path:
        """The path that a row means."""
        return Path(self._output, path)

    def _ask(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _output_error(Path(self._output), error) from error


@contextmanager
def opened(output: Path, settings: str, *, keep: bool) -> Generator[Journal]:
    """The journal of a folder of results, made if need be. While it is open, no other run can open it.

    A damaged journal is set aside, with a warning: what it knew is lost, but the results stay as they are.

    Args:
        output: folder of the results.
        settings: what the results of this run are made with.
        keep: whether to keep the journal in that folder; else it is temporary, and nothing is locked.

    Raises:
        OutputError: another run has it open, or the folder cannot be written to.
    """
    path = output / FOLDER / NAME
    with ExitStack() as stack:
        try:
            if keep:
                stack.enter_context(locked(path.with_name("lock"), wait=False))
                _set_aside_if_damaged(path)
            database = stack.enter_context(closing(_connect(path if keep else None)))
        except BlockingIOError:
            raise OutputError(f"cannot write to {output}: another run is at work there") from None
        except (sqlite3.Error, OSError) as error:
            raise _output_error(output, error) from error
        yield Journal(database, output, settings)


def entries(output: Path) -> Iterator[Entry]:
    """The rows of a folder of results, by name; also while a run is at work there.

    Raises:
        InputError: there is no journal, or it cannot be read.
    """
    path = output / FOLDER / NAME
    if not path.is_file():
        raise InputError(f"no journal in {output}: no folder of photos was restored into it")
    try:
        with closing(sqlite3.connect(path)) as database:
            yield from map(_entry, database.execute("SELECT * FROM results ORDER BY key"))
    except sqlite3.Error as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _connect(path: Path | None) -> sqlite3.Connection:
    """Open a database, in temporary storage if there is no path, and make its tables if it is new."""
    database = sqlite3.connect(path or "", timeout=60, isolation_level=None, check_same_thread=False)
    if path is None:
        database.execute("PRAGMA journal_mode = OFF")
    else:
        _choose_safety(database)
    if database.execute("PRAGMA user_version").fetchone() == (0,):
        database.executescript(_SCHEMA)
    return database


def _choose_safety(database: sqlite3.Connection) -> None:
    """A write-ahead log where the file system can have one, as on most network drives it cannot.

    With it a row costs no wait for the disk: the end of the process loses none, a power cut the last few.
    """
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")
        database.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.OperationalError:
        database.execute("PRAGMA journal_mode = DELETE")


def _set_aside_if_damaged(path: Path) -> None:
    if not path.exists() or _is_sound(path):
        return
    kept = path.with_name(f"damaged-{time.time_ns()}-{NAME}")
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(NAME + ending)
        if part.exists():
            part.rename(kept.with_name(kept.name + ending))
    _log.warning("the journal %s is damaged and was set aside; going on by the results that exist", path)


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            known = version == VERSION or tables == 0  # a run that was killed at once leaves an empty one
            return known and database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            return False
        raise


def _output_error(output: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        reason = "the disk is full"
    return OutputError(f"cannot write the journal in {output}: {reason}")


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(**dict(zip(_COLUMNS, map(_text, row), strict=True)))


def _stored(value: Any) -> Any:
    """Names of files may hold bytes that are no text; SQLite keeps those as bytes."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value)
    return value


def _text(value: Any) -> Any:
    return os.fsdecode(value) if isinstance(value, bytes) else value
