"""Restore images and videos into a folder, whatever happens to one of them; resumable.

The network runs in the caller's thread. Images are decoded ahead of it and results encoded behind it, in threads. The
outcomes come in the order of the sources, and the files are those of a run without threads, to the last byte. Videos
follow after the images, one at a time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from revisage.batch.names import Job, Originals, plan
from revisage.batch.options import FOLDERS, Options, settings_of
from revisage.batch.steps import InProgress, RestoreVideo, Settle, Steps
from revisage.errors import OutputError, fault_of
from revisage.files import remove_temporary_files
from revisage.jobs.collector import Kind, Source, Sources
from revisage.jobs.counting import Count
from revisage.jobs.outcome import Outcome
from revisage.jobs.store import NO_FILE, Entry, JobStore, Stamp, Status, open_store, stamp_of
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer

Progress = Callable[[int, int], None]
NOTE_SECONDS = 1.0
"""Between notes in the store of how far a run is."""
Check = Callable[[Source, Path, Controls], tuple[str, ...]]
"""Finds out, before the work, what the result of a source in a file would lack; raises if it would fail."""
Engine = Callable[[Iterable[InProgress | Outcome], Settle], Generator[Outcome]]
"""Does the work: takes sources in progress, and outcomes to pass through; yields outcomes, after settling each."""


def restore_files(
    restorer: Restorer,
    sources: Sources | Iterable[Source],
    options: Options,
    restore_video: RestoreVideo | None = None,
    progress: Progress | None = None,
) -> Generator[Outcome]:
    """Restore images and videos; if one fails the rest goes on.

    With ``options.resume`` a source is skipped if an earlier run restored it with the same settings and neither source
    nor result have changed since; it is restored again otherwise, and so is what failed.

    Args:
        restorer: what ``revisage.load`` returns.
        sources: what ``collect`` returns; anything else is held in memory.
        options: how, and where to.
        restore_video: restores a video; None if no source is one.
        progress: called after each source with the number of those that are done, and of all (0 as long as they are not
            counted). It may raise ``CancelledError``: what is in progress is finished, and the same call resumes.

    Yields:
        One outcome a source: images in their order, then videos in theirs. Close the generator if you do not take all.

    Raises:
        OutputError: the disk is full, the store cannot be written, or another run is at work in the output folder.
            Finished results stay, and the same call resumes.
    """

    def engine(items: Iterable[InProgress | Outcome], settle: Settle) -> Generator[Outcome]:
        return Steps(restorer, options, settle, restore_video).restore_all(items)

    return run_engine(engine, restorer.name, sources, options, progress)


def run_engine(
    engine: Engine,
    model: str,
    sources: Sources | Iterable[Source],
    options: Options,
    progress: Progress | None = None,
) -> Generator[Outcome]:
    """Restore images and videos by an engine; other arguments as for :func:`restore_files`.

    Name or file of the ``model``, and the options, decide whether results are up to date.
    """
    if not isinstance(sources, Sources):
        sources = tuple(sources)
    settings = settings_of(model, options)
    with open_store(options.output, "restore", settings, folder=options.store, keep=options.resume) as store:
        remove_leftovers({target.parent for target in store.unfinished()}, options)
        run = _Run(options, store, Originals(sources, options.output))
        with closing(engine(map(run.begin, plan(sources, options, store)), run.settle)) as outcomes:
            yield from _follow(outcomes, sources, store, progress)


def _follow(
    outcomes: Iterable[Outcome], sources: Iterable[Source], store: JobStore, progress: Progress | None
) -> Iterator[Outcome]:
    """The same outcomes; the store and the callback learn how far the run is."""
    done, noted, is_complete = 0, time.monotonic(), False

    def note_total(total: int) -> None:
        with suppress(OutputError):  # what ends the run meanwhile matters more
            store.note(total, done)

    with Count(sources, note_total) as count:
        try:
            for outcome in outcomes:
                done += 1
                if time.monotonic() - noted > NOTE_SECONDS:
                    store.note(count.value, done)
                    noted = time.monotonic()
                if progress:
                    progress(done, count.value)
                yield outcome
            is_complete = True
        finally:
            with suppress(OutputError):  # what ended the run matters more
                store.note(done if is_complete else count.value, done)


def check_files(
    restorer: Restorer, sources: Sources | Iterable[Source], options: Options, check: Check
) -> Generator[Outcome]:
    """Say what ``restore_files`` would do with each source, and which would fail; restore and write nothing.

    Arguments as there; ``check`` raises if a source cannot be restored, and returns what its result would lack. Yields
    one outcome a source, in their order, with a target unless it would fail.
    """
    with open_store(
        options.output, "restore", settings_of(restorer.name, options), folder=options.store, keep=False, copy=True
    ) as store:
        run = _Run(options, store, Originals(sources, options.output))
        for job in plan(sources, options, store):
            item = run.begin(job)
            if isinstance(item, InProgress):
                path, controls = job.source.path, options.controls
                if job.source.kind is Kind.VIDEO:
                    controls = options.video_controls
                try:
                    item = Outcome(path, job.target, left_out=check(job.source, job.target, controls))
                except Exception as error:  # one that fails must not hide the others
                    item = Outcome(path, error=str(error) if isinstance(error, OutputError) else fault_of(path, error))
            yield item


class _Run:
    """The store's entry of each source."""

    def __init__(self, options: Options, store: JobStore, originals: Originals) -> None:
        self._options = options
        self._store = store
        self._originals = originals

    def begin(self, job: Job) -> InProgress | Outcome:
        """Decide whether there is anything to do, and if so note in the store that it has begun."""
        path, (size, mtime), existing = job.source.path, stamp_of(job.source.path), stamp_of(job.target)
        entry = job.entry or Entry(
            key=job.key,
            source=self._store.relative(path),
            target=self._store.relative(job.target),
            run=self._store.run,
            status=Status.STARTED,
        )
        made_here = existing != NO_FILE and existing == (entry.result_size, entry.result_mtime)
        if made_here and self._is_current(entry, Stamp(size, mtime), job.source.kind):
            return self._up_to_date(job, entry)
        item = InProgress(job, replace(entry, size=size, mtime=mtime), made_here or self._options.overwrite, existing)
        if fault := job.source.fault or self._refusal(job, made_here):
            return self.settle(item, Outcome(path, error=fault))
        if existing != NO_FILE and not item.overwrite:
            return self._skip(item)
        if job.entry is not None:
            self._store.put(replace(item.entry, run=self._store.run, status=Status.STARTED))
        return item

    def _up_to_date(self, job: Job, entry: Entry) -> Outcome:
        """The outcome of a source that an earlier run restored; failed if ``strict`` and it lacks anything."""
        lost = _left_out(entry)
        if lost and self._options.strict:
            path = job.source.path
            return Outcome(path, error=f"{path}: {job.target} lacks {', '.join(lost)} (--strict)")
        return Outcome(job.source.path, job.target, exists=True, up_to_date=True, left_out=lost)

    def _is_current(self, entry: Entry, source: Stamp, kind: Kind) -> bool:
        """Whether an earlier run finished this source as it is now, with the settings of this run."""
        settings = self._store.settings
        return (
            entry.status == Status.DONE
            and source == (entry.size, entry.mtime)
            and settings.get(entry.run, {}).get(kind) == settings[self._store.run][kind]  # a damaged store may lack it
        )

    def _refusal(self, job: Job, made_here: bool) -> str:
        """Why a source must not be restored to where its result would go, or ""."""
        path, options = job.source.path, self._options
        if not made_here and self._originals.would_overwrite_input(job.target, path):
            return f"{path}: the result would replace an original, {job.target}; use another folder"
        if options.save_faces:
            folder = Path(os.path.realpath(path)).parent
            if any(folder.is_relative_to(os.path.realpath(options.output / name)) for name in FOLDERS):
                return f"{path} lies among the results; use another folder for them"
            if job.source.kind is Kind.VIDEO:
                return f"{path}: faces of videos cannot be saved; restore videos without --save-faces"
        return ""

    def _skip(self, item: InProgress) -> Outcome:
        """Leave a result that another program wrote, or that has changed since."""
        outcome = Outcome(item.job.source.path, item.job.target, exists=True)
        return outcome if item.entry.status in (Status.DONE, Status.SKIPPED) else self.settle(item, outcome)

    def settle(self, item: InProgress, outcome: Outcome, written: Stamp = NO_FILE) -> Outcome:
        """Write the row of an outcome, which gets the seconds of its work; see ``Settle``."""
        status = Status.FAILED if outcome.error else Status.SKIPPED if outcome.exists else Status.DONE
        if written == NO_FILE:
            written = Stamp(item.entry.result_size, item.entry.result_mtime)
        names = ("found", "restored", "failed", "frames", "tracks", "left_out")
        details = {name: getattr(outcome, name) for name in names}
        entry = replace(
            item.entry,
            run=self._store.run,
            status=status,
            reason=outcome.error or "; ".join((*outcome.skipped, *outcome.warnings)),
            result_size=written.size,
            result_mtime=written.mtime,
            seconds=round(item.seconds, 4),
            time=time.time(),
            details=json.dumps({name: value for name, value in details.items() if value}),
        )
        self._store.put(entry)
        return replace(outcome, seconds=item.seconds)


def _left_out(entry: Entry) -> tuple[str, ...]:
    """The parts that the result of a row lacks; nothing if the row is not what :meth:`_Run.settle` writes."""
    try:
        return tuple(map(str, json.loads(entry.details).get("left_out", ())))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ()


def remove_leftovers(folders: Iterable[Path], options: Options) -> None:
    """Remove half files of killed processes from folders of results, where nothing is in progress now.

    The store that names them may be somebody else's, and links lead anywhere: outside of the output folder nothing is
    removed.
    """
    output, restored = os.path.realpath(options.output), Path(os.path.abspath(options.output), FOLDERS[0])  # noqa: PTH100
    for folder in folders:
        siblings = [folder]
        if folder.is_relative_to(restored):
            siblings += [options.output / name / folder.relative_to(restored) for name in FOLDERS[1:]]
        for one in siblings:
            if Path(os.path.realpath(one)).is_relative_to(output):
                remove_temporary_files(one)
