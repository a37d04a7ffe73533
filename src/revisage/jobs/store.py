"""The job store: which inputs a run has finished, with what settings, and what is left to do.

An SQLite database with one row a result. A row is written before the work on its input begins and again when it is
settled: after any end of the process the next run knows what is done and what was in progress. Without a file the same
database lies in temporary storage and only keeps the names of results apart.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from filelock import Timeout

from revisage.errors import InputError, OutputError
from revisage.jobs.buckets import Address
from revisage.jobs.database import (
    LOCK,
    connect,
    connect_temporary,
    is_open,
    is_sound,
    set_aside,
    take_lock,
    to_output_error,
)

FOLDER = ".revisage"
"""Where the store lies in a folder of results."""
NAME = "jobs.sqlite"


class Status(StrEnum):
    """How far an input has come."""

    STARTED = "started"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class Stamp(NamedTuple):
    """Bytes and modification time (nanoseconds) of a file: differs once the file has changed."""

    size: int
    mtime: int


NO_FILE = Stamp(-1, 0)


def folder_beside(target: Path) -> Path:
    """Folder of the store of a single result that takes long, until that is whole."""
    return target.with_name(f".{target.name}{FOLDER}")


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file, ``NO_FILE`` if there is none."""
    try:
        state = path.stat()
    except OSError:
        return NO_FILE
    return Stamp(state.st_size, state.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the store. Paths are relative to the output folder, so that inputs and results can move together.

    Attributes:
        key: unique name; rows are listed in its order.
        target: its result, "" if there is no single one.
        run: number of the run that wrote this row.
        status: how far the input has come.
        reason: one line, if it failed or faces were left alone.
        size: bytes of the input when its work began.
        mtime: modification time of the input then, in nanoseconds.
        result_size: bytes of the result when it was written, -1 before.
        result_mtime: modification time of the result then, in nanoseconds.
        time: when the row was written, in seconds since 1970.
        details: JSON object, whatever else the task keeps of this input.
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
    seconds: float = 0.0
    time: float = 0.0
    details: str = "{}"


_COLUMNS = tuple(one.name for one in fields(Entry))
_values = attrgetter(*_COLUMNS)
_SCHEMA = f"""
CREATE TABLE runs (run INTEGER PRIMARY KEY, task, settings, time);
CREATE TABLE entries ({", ".join(_COLUMNS)}, PRIMARY KEY (key)) WITHOUT ROWID;
CREATE INDEX started ON entries (status) WHERE status = '{Status.STARTED}';
CREATE TABLE notes (run, name, value, PRIMARY KEY (run, name)) WITHOUT ROWID;
"""
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM entries"
_PUT = f"INSERT OR REPLACE INTO entries VALUES ({', '.join('?' * len(_COLUMNS))})"


class JobStore:
    """The open store of a folder of results; any number of threads may use it. See :func:`open_store`.

    Attributes:
        run: number of this run.
        settings: run -> what its results were made with, as JSON values; this run included.
    """

    def __init__(self, database: sqlite3.Connection, output: Path, path: Path) -> None:
        self._database = database
        self._output = os.path.abspath(output)  # noqa: PTH100 (links stay: inputs keep the names they were given)
        self._path = path
        self._lock = Lock()
        self._relative_folder = lru_cache(100)(self._relate)
        self.run = 0
        self.settings: dict[int, dict[str, Any]] = {}

    def begin(self, task: str, settings: Mapping[str, Any], *, strict: bool) -> None:
        """Add a run. Parameters and errors are those of :func:`open_store`."""
        rows = self._ask("SELECT task, settings, run IN (SELECT run FROM entries) FROM runs ORDER BY run")
        for name, before, has_entries in rows:
            if name != task:
                raise InputError(f"{self._output} holds results of `revisage {name}`; use another folder")
            if strict and has_entries:  # a run that ended before its first row binds nobody
                self._refuse_changes(_settings(before), settings)
        values = [task, json.dumps(settings, default=str), time.time()]
        self._ask("INSERT INTO runs (task, settings, time) VALUES (?, ?, ?)", values)
        self.settings = {run: _settings(text) for run, text in self._ask("SELECT run, settings FROM runs")}
        self.run = max(self.settings)

    def _refuse_changes(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        changes = [f"{name} {before.get(name)}, not {new}" for name, new in now.items() if before.get(name) != new]
        if changes:
            raise InputError(f"{self._output} was made with {', '.join(changes)}; use another folder")

    def get(self, key: str) -> Entry | None:
        """The row of a key."""
        rows = self._ask(f"{_SELECT} WHERE key = ?", [_stored(key)])
        return _entry(rows[0]) if rows else None

    def put(self, entry: Entry) -> None:
        """Write a row; when this returns, it outlives the process."""
        self._ask(_PUT, [_stored(value) for value in _values(entry)])

    def note(self, total: int, seen: int) -> None:
        """Note how many inputs this run has, 0 if it is not known, and how many of them it has seen; see ``Run``."""
        for name, value in {"total": total, "seen": seen, "time": time.time()}.items():
            self._ask("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", [self.run, name, value])

    def entries(self) -> list[Entry]:
        """All rows, by key."""
        return [_entry(row) for row in self._ask(f"{_SELECT} ORDER BY key")]

    def remove(self, prefix: str) -> None:
        """Delete the rows whose key begins with ``prefix``."""
        self._ask("DELETE FROM entries WHERE key >= ? AND key < ?", [prefix, f"{prefix}\U0010ffff"])

    def unfinished(self) -> list[Path]:
        """Results that were in progress when an earlier run ended."""
        rows = self._ask(f"SELECT target FROM entries WHERE status = '{Status.STARTED}' AND run < ?", [self.run])
        return [self.absolute(_text(target)) for (target,) in rows]

    def relative(self, path: Path) -> str:
        """A path as rows hold it; URLs as they are."""
        if isinstance(path, Address):
            return str(path)
        folder, name = os.path.split(path)
        return os.path.join(self._relative_folder(folder), name)  # noqa: PTH118 (twice as quick, for each input)

    def _relate(self, folder: str) -> str:
        try:
            below = os.path.relpath(folder or os.curdir, self._output)
        except ValueError:  # on another drive
            return os.path.abspath(folder)  # noqa: PTH100
        return "" if below == os.curdir else below

    def absolute(self, path: str) -> Path:
        """The path that a row means."""
        return Address(path) if "://" in path else Path(self._output, path)

    def _ask(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise to_output_error(self._path, error) from error


@contextmanager
def open_store(
    output: Path,
    task: str,
    settings: Mapping[str, Any],
    *,
    folder: Path | None = None,
    keep: bool = True,
    copy: bool = False,
    wait: bool = False,
    strict: bool = False,
) -> Generator[JobStore]:
    """Open the store of a folder of results, creating it if needed. While it is open, no other run can open it.

    Args:
        output: folder of the results, to which the paths of the rows are relative.
        task: the command; a store of another one is refused.
        settings: the values that the results of this run depend on, as JSON values.
        folder: where the store lies; None for ``output/.revisage``.
        keep: False for a temporary store without a lock.
        copy: a temporary store begins as a copy of the one that is there.
        wait: wait while another run has it open, instead of raising.
        strict: refuse a damaged store and settings that differ from those of earlier runs. Otherwise a damaged store is
            set aside with a warning (its rows are lost, results stay), and rows of other settings are up to the caller.

    Raises:
        InputError: the store is of another task; with ``strict``, it is damaged or the settings differ.
        OutputError: another run has it open, or the folder cannot be written to.
    """
    path = (output / FOLDER if folder is None else folder) / NAME
    with ExitStack() as stack:
        try:
            if keep:
                stack.enter_context(take_lock(path.with_name(LOCK), wait))
                if path.exists() and not is_sound(path):
                    if strict:
                        raise InputError(f"{path} is damaged, or no job store of this program")
                    set_aside(path)
            database = stack.enter_context(
                closing(connect(path, _SCHEMA) if keep else connect_temporary(path if copy else None, _SCHEMA))
            )
        except Timeout:
            raise OutputError(f"cannot write to {output}: another run is at work there") from None
        except (sqlite3.Error, OSError) as error:
            raise to_output_error(path, error) from error
        store = JobStore(database, output, path)
        store.begin(task, settings, strict=strict)
        yield store


def read_entries(output: Path, folder: Path | None = None) -> Iterator[Entry]:
    """The rows of a folder of results, by key; also while a run is at work there.

    The store lies in ``folder``; None: ``output/.revisage`` (InputError: there is none, or it cannot be read).
    """
    path = (output / FOLDER if folder is None else folder) / NAME
    if not path.is_file():
        raise InputError(f"no job store in {output}: no folder was restored or prepared into it")
    try:
        with closing(sqlite3.connect(path)) as database:
            yield from map(_entry, database.execute(f"{_SELECT} ORDER BY key"))
    except sqlite3.Error as error:
        raise InputError(f"cannot read {path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of a store.

    Attributes:
        is_open: it is at work.
        total: number of its inputs, 0 if it is not known.
        seen: how many of them are done, failed or skipped.
        seconds: from its begin until the last of these.
    """

    is_open: bool
    total: int = 0
    seen: int = 0
    seconds: float = 0.0


def read_run(output: Path) -> Run:
    """The last run of a folder of results; also while it is at work."""
    path, at_work = output / FOLDER / NAME, is_open(output / FOLDER)
    try:
        with closing(sqlite3.connect(path)) as database:
            run, begun = database.execute("SELECT run, time FROM runs ORDER BY run DESC").fetchone()
            rows = database.execute("SELECT name, value FROM notes WHERE run = ?", [run])
            notes = {str(name): float(value) for name, value in rows}
    except (sqlite3.Error, TypeError, ValueError):
        return Run(at_work)
    seconds = max(notes.get("time", begun) - begun, 0.0)
    return Run(at_work, int(notes.get("total", 0)), int(notes.get("seen", 0)), seconds)


def _settings(text: Any) -> dict[str, Any]:
    """Settings of a run, {} if they are not what :meth:`JobStore.begin` writes."""
    try:
        settings = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(**dict(zip(_COLUMNS, map(_text, row), strict=True)))


def _stored(value: Any) -> Any:
    """SQLite keeps names of files that are not valid text as bytes."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value)
    return value


def _text(value: Any) -> Any:
    return os.fsdecode(value) if isinstance(value, bytes) else value
