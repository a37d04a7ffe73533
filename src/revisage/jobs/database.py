"""The file of a job store: an SQLite database that one run at a time has open, and that a crash leaves readable."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import AbstractContextManager, closing
from pathlib import Path

from filelock import FileLock, Timeout

from revisage.errors import OutputError

LOCK = "lock"
"""Name of the file in the folder of the store that a run holds locked."""
VERSION = 3

_log = logging.getLogger(__name__)


def is_open(folder: Path) -> bool:
    """Whether a run has the store in ``folder`` open."""
    path = folder / LOCK
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, thread_local=False):
            return False
    except (Timeout, OSError):
        return True


def take_lock(path: Path, wait: bool) -> AbstractContextManager[object]:
    """Take a lock that the end of the process releases, however it ends."""
    lock = FileLock(path, timeout=-1 if wait else 0.5, thread_local=False)  # ``is_open`` holds it for a moment
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire()
        except FileNotFoundError:  # the run that held it has finished, and removed the folder
            continue


def connect(path: Path, schema: str) -> sqlite3.Connection:
    """Open a database, and create its tables by a script of SQL if it is new."""
    database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    _choose_safety(database)
    return _with_tables(database, schema)


def connect_temporary(path: Path | None, schema: str) -> sqlite3.Connection:
    """Open a database in temporary storage, a copy of that of ``path`` if it is sound."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    if path is not None and path.is_file() and is_sound(path):
        with closing(sqlite3.connect(path)) as there:
            there.backup(database)
    database.execute("PRAGMA journal_mode = OFF")
    return _with_tables(database, schema)


def _with_tables(database: sqlite3.Connection, schema: str) -> sqlite3.Connection:
    if database.execute("PRAGMA user_version").fetchone() == (0,):
        database.executescript(f"BEGIN; {schema} PRAGMA user_version = {VERSION}; COMMIT;")
    database.execute("CREATE TABLE IF NOT EXISTS notes (run, name, value, PRIMARY KEY (run, name)) WITHOUT ROWID")
    return database


def _choose_safety(database: sqlite3.Connection) -> None:
    """Use a write-ahead log where the file system supports one; most network drives do not.

    With it a row costs no wait for the disk: the end of the process loses none, a power cut the last few.
    """
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")
        database.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.OperationalError:
        database.execute("PRAGMA journal_mode = DELETE")


def set_aside(path: Path) -> None:
    """Rename a damaged database, with a warning."""
    kept = path.with_name(f"damaged-{time.time_ns()}-{path.name}")
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(kept.with_name(kept.name + ending))
    _log.warning("the job store %s is damaged and was set aside; resuming by the results that exist", path)


def is_sound(path: Path) -> bool:
    """Whether a file is an undamaged database of this version, or an empty one."""
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


def to_output_error(path: Path, error: Exception) -> OutputError:
    """An error of SQLite or of the system as one line."""
    reason = getattr(error, "strerror", None) or str(error)
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        reason = "the disk is full"
    return OutputError(f"cannot write {path}: {reason}")
