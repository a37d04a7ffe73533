"""The jobs of a server: one runs, the others wait. Each is accepted once it is whole, and survives any end."""

from __future__ import annotations

import logging
import shutil
import time
import zipfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Any

from filelock import FileLock, Timeout

from revisage.errors import CancelledError, OutputError, RevisageError
from revisage.files import atomic_write, is_disk_full
from revisage.serve.engine import BusyError, Engine
from revisage.serve.job import RESULTS, Job, State, load_job, without_folders
from revisage.serve.job_run import restore_job

INCOMING = "incoming-"
"""Prefix of folders whose upload is not whole yet."""
BUSY_SECONDS = 60
"""When a client may come again, if too many jobs wait."""
TIDY_SECONDS = 600.0
"""Between looks for jobs that have expired."""

_log = logging.getLogger(__name__)


class Jobs:
    """The jobs of a server, in the order in which they came.

    Args:
        engine: its restorers are shared with requests.

    Raises:
        OutputError: another server uses the folder of jobs, or it cannot be written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settings = engine.settings
        self._folder = engine.settings.jobs_path
        self._lock = Lock()
        self._file_lock = _take(self._folder)
        self._queue: SimpleQueue[str] = SimpleQueue()
        self._stopping = Event()
        self._jobs = {job.id: job for job in _load(self._folder)}
        for job in self._jobs.values():
            if not job.state.is_final:
                self._queue.put(job.id)
        self._thread = Thread(target=self._work, name="jobs")

    def start(self) -> None:
        """Begin to run jobs: those of earlier runs first."""
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        """Whether the server ends."""
        return self._stopping.is_set()

    @property
    def unfinished(self) -> int:
        """Jobs that wait or run."""
        return sum(not job.state.is_final for job in list(self._jobs.values()))

    def get(self, id: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(id)

    @contextmanager
    def incoming(self) -> Generator[Path]:
        """Yield a folder for the files of a new job; it is removed unless :meth:`add` takes it.

        Raises:
            BusyError: too many jobs wait, or the server ends.
            OSError: the folder cannot be made.
        """
        if self.is_stopping or self.unfinished >= self._settings.max_jobs:
            raise BusyError(BUSY_SECONDS)
        folder = self._folder / f"{INCOMING}{token_hex(16)}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, incoming: Path, model: str, fields: dict[str, Any], names: list[str]) -> Job:
        """Accept the files of a folder of :meth:`incoming`. When this returns, the job survives any end."""
        id = incoming.name.removeprefix(INCOMING)
        job = Job(id, incoming, model, fields, names, created=time.time())
        job.save()
        job.folder = incoming.rename(self._folder / id)
        self._jobs[id] = job
        self._queue.put(id)
        return job

    def cancel(self, job: Job) -> None:
        """End a job before its next step; results of finished files stay."""
        self._settle(job, State.CANCELLED)
        job.task.cancel()

    def remove(self, job: Job) -> None:
        """Cancel a job, and delete its files."""
        self.cancel(job)
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def stop(self) -> None:
        """Let the job that runs end before its next step, to be resumed at the next start. Returns at once."""
        self._stopping.set()
        for job in list(self._jobs.values()):
            job.task.cancel()

    def close(self) -> None:
        """Stop, and wait for the end."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._file_lock.release()

    def _work(self) -> None:
        tidied = -TIDY_SECONDS
        while not self.is_stopping:
            if time.monotonic() - tidied >= TIDY_SECONDS:
                self._remove_expired()
                tidied = time.monotonic()
            with suppress(Empty):
                job = self._jobs.get(self._queue.get(timeout=0.1))
                if job is not None:
                    self._run(job)

    def _run(self, job: Job) -> None:
        with self._lock:
            if job.state.is_final:
                return
            job.state = State.RUNNING
            job.version += 1
        try:
            restore_job(self._engine, job)
        except CancelledError:  # by a client, who has settled it, or by the end of the server
            pass
        except Exception as error:
            self._settle(job, State.FAILED, _told(job, error))
        else:
            self._settle(job, State.DONE)
        if job.id not in self._jobs:  # removed while it ran
            shutil.rmtree(job.folder, ignore_errors=True)

    def _settle(self, job: Job, state: State, error: str = "") -> None:
        with self._lock:
            if job.state.is_final:
                return
            job.state, job.error, job.finished = state, error, time.time()
            job.version += 1
            with suppress(OutputError):  # then it runs again at the next start, and finds its results
                job.save()

    def _remove_expired(self) -> None:
        for job in list(self._jobs.values()):
            if job.state.is_final and time.time() - job.finished > self._settings.job_hours * 3600:
                self.remove(job)


def pack(job: Job) -> Path:
    """A zip file of the results, made at the first call.

    Raises:
        OutputError: it cannot be written.
    """
    target = job.folder / "results.zip"
    if not target.exists():
        with atomic_write(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for outcome in job.outcomes.values():
                if outcome["result"]:
                    archive.write(job.folder / RESULTS / outcome["result"], outcome["result"])
    return target


def _told(job: Job, error: Exception) -> str:
    """The message to clients about an error that ended a job: nothing of the server's folders."""
    if is_disk_full(error):
        return "the disk of the server is full"
    if isinstance(error, RevisageError):
        return without_folders(str(error), job.folder)
    _log.error("job %s", job.id, exc_info=error)
    return "a fault of the server"


def _take(folder: Path) -> FileLock:
    """Make the folder of jobs, and take its lock, which the end of the process releases."""
    lock = FileLock(folder / "lock", timeout=0.5, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout:
        raise OutputError(f"another server uses the jobs in {folder}; give this one another folder (--jobs)") from None
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return lock


def _load(folder: Path) -> list[Job]:
    """The jobs of earlier runs, the oldest first; uploads that were cut off are removed."""
    found: list[Job] = []
    for path in folder.iterdir():
        if path.name.startswith(INCOMING):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            try:
                found.append(load_job(path))
            except (ValueError, KeyError, TypeError, OSError):
                _log.warning("%s holds no job, or a damaged one; it is left alone", path)
    return sorted(found, key=lambda job: job.created)
