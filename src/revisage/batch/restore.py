"""Restore images and videos into a folder, whatever happens to one of them; resumable.

The network runs in the caller's thread. Images are decoded ahead of it and results encoded behind it, in threads. The
outcomes come in the order of the sources, and the files are those of a run without threads, to the last byte. Videos
follow after the images, one at a time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import PIL.Image

from revisage.batch.names import Job, Originals, plan
from revisage.batch.options import FOLDERS, Options, settings_of
from revisage.batch.photos import RestoredPhoto, read_checked, restore_photo
from revisage.errors import CancelledError, InputError, OutputError, fault_of
from revisage.files import is_disk_full, remove_temporary_files
from revisage.images import Photo, write_image
from revisage.jobs.collector import Kind, Source, Sources
from revisage.jobs.counting import Count
from revisage.jobs.ordered_prefetch import MAX_BYTES, ordered_prefetch
from revisage.jobs.store import NO_FILE, Entry, JobStore, Outcome, Stamp, Status, open_store, stamp_of
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.types import FaceStatus, RestoredFace

Done = TypeVar("Done")
Progress = Callable[[int, int], None]
NOTE_SECONDS = 1.0
"""Between notes in the store of how far a run is."""


class RestoreVideo(Protocol):
    """``revisage.video.restore.restore_video``, or a function around it that shows progress."""

    def __call__(
        self, restorer: Restorer, source: Path, target: Path, controls: Controls, *, overwrite: bool
    ) -> Outcome:
        """Restore the video ``source`` into the file ``target``."""
        ...


@dataclass(frozen=True, slots=True)
class InProgress:
    """A source in progress: its names, its row in the store, whether its result may replace a file, seconds so far."""

    job: Job
    entry: Entry
    overwrite: bool
    seconds: float = 0.0


Check = Callable[[Source, Path, Controls], tuple[str, ...]]
"""Finds out, before the work, what the result of a source in a file would lack; raises if it would fail."""
Opened = tuple[InProgress, Photo]
"""A source in progress with what was read of it."""


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
    if not isinstance(sources, Sources):
        sources = tuple(sources)
    settings = settings_of(restorer.name, options)
    with open_store(options.output, "restore", settings, keep=options.resume) as store:
        _remove_leftovers(store, options)
        run = _Run(restorer, options, store, Originals(sources, options.output))
        with closing(run.restore_all(plan(sources, options, store), restore_video)) as outcomes:
            yield from _follow(outcomes, sources, store, progress)


def _follow(
    outcomes: Iterable[Outcome], sources: Iterable[Source], store: JobStore, progress: Progress | None
) -> Iterator[Outcome]:
    """The same outcomes; the store and the callback learn how far the run is."""
    done, noted, is_complete = 0, time.monotonic(), False
    with Count(sources) as count:
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

    Args:
        restorer: what ``revisage.load`` returns.
        sources: as for ``restore_files``.
        options: as for ``restore_files``.
        check: raises if a source cannot be restored; returns what its result would lack.

    Yields:
        one outcome a source, in their order, with a target unless it would fail.
    """
    with open_store(options.output, "restore", settings_of(restorer.name, options), keep=False, copy=True) as store:
        run = _Run(restorer, options, store, Originals(sources, options.output))
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
    """The steps of a source. Each takes what the one before returned; an outcome is final and passes through.

    Attributes:
        videos: in progress, to be restored after the images.
    """

    def __init__(self, restorer: Restorer, options: Options, store: JobStore, originals: Originals) -> None:
        self._restorer = restorer
        self._options = options
        self._store = store
        self._originals = originals
        self.videos: list[InProgress] = []

    def restore_all(self, jobs: Iterable[Job], restore_video: RestoreVideo | None) -> Generator[Outcome]:
        """Restore images, then videos."""
        with closing(ordered_prefetch(self.read, self.begin_images(jobs), Outcome, _decoded_bytes)) as read:
            restored = map(self.restore, read)
            with closing(ordered_prefetch(self.write, restored, Outcome, _result_bytes, prompt=True)) as written:
                yield from written
        for video in self.videos:
            yield self.restore_video(video, restore_video)

    def begin_images(self, jobs: Iterable[Job]) -> Iterator[InProgress | Outcome]:
        """Begin jobs; those of videos are set aside."""
        for job in jobs:
            item = self.begin(job)
            if isinstance(item, InProgress) and job.source.kind is Kind.VIDEO:
                self.videos.append(item)
            else:
                yield item

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
            return Outcome(path, job.target, exists=True, up_to_date=True)
        item = InProgress(job, replace(entry, size=size, mtime=mtime), made_here or self._options.overwrite)
        if fault := job.source.fault or self._refusal(job, made_here):
            return self._settle(item, Outcome(path, error=fault))
        if existing != NO_FILE and not item.overwrite:
            return self._skip(item)
        if job.entry is not None:
            self._store.put(replace(item.entry, run=self._store.run, status=Status.STARTED))
        return item

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
        return outcome if item.entry.status in (Status.DONE, Status.SKIPPED) else self._settle(item, outcome)

    def read(self, item: InProgress) -> Opened | Outcome:
        """Decode an image, with all of its frames or pages."""
        return self._attempt(item, lambda: read_checked(item.job.source.path, item.job.target, self._options))

    def restore(self, opened: Opened | Outcome) -> tuple[InProgress, RestoredPhoto] | Outcome:
        """Run the network, in the caller's thread."""
        if isinstance(opened, Outcome):
            return opened
        item, photo = opened
        return self._attempt(item, lambda: restore_photo(self._restorer, photo, self._options.controls))

    def write(self, restored: tuple[InProgress, RestoredPhoto]) -> Outcome:
        """Encode an image, and settle its source."""
        item, result = restored
        written = self._attempt(item, lambda: self._write(item, result))
        if isinstance(written, Outcome):
            return written
        done, left_out = written
        return self._settle(done, outcome_of(item.job, result, left_out))

    def _write(self, item: InProgress, result: RestoredPhoto) -> tuple[str, ...]:
        job, options = item.job, self._options
        lost: tuple[str, ...] = ()
        if options.save_faces:
            write_faces(result.results[0].faces, job.output_stem, options)
            lost = ("the single faces of further frames",) if len(result.results) > 1 else ()
        left_out = write_image(
            job.target,
            [one.image for one in result.results],
            like=job.source.path,
            overwrite=item.overwrite,
            preserve_mtime=options.preserve_mtime,
        )
        return left_out + lost

    def restore_video(self, item: InProgress, restore_video: RestoreVideo | None) -> Outcome:
        """Restore a video, and settle it."""
        job, options = item.job, self._options

        def restore() -> Outcome:
            if restore_video is None:
                raise InputError("a video; give restore_files a function that restores videos")
            controls = options.video_controls
            outcome = restore_video(self._restorer, job.source.path, job.target, controls, overwrite=item.overwrite)
            if options.preserve_mtime:
                state = job.source.path.stat()
                os.utime(job.target, ns=(state.st_atime_ns, state.st_mtime_ns))
            return outcome

        done = self._attempt(item, restore)
        return done if isinstance(done, Outcome) else self._settle(*done)

    def _attempt(self, item: InProgress, step: Callable[[], Done]) -> tuple[InProgress, Done] | Outcome:
        """Take one step, and count the seconds; a failure settles the source."""
        start, path = time.perf_counter(), item.job.source.path
        try:
            done = step()
        except OutputError as error:  # names the result
            outcome = self._settle(item, Outcome(path, error=str(error)))
            if is_disk_full(error):  # so it will be for all that follow
                raise OutputError(f"{error}; stopped, free some space and run the same again to resume") from error
            return outcome
        except CancelledError:
            raise
        except Exception as error:  # an unexpected error must not cost the sources after this one
            return self._settle(item, Outcome(path, error=fault_of(path, error)))
        return replace(item, seconds=item.seconds + time.perf_counter() - start), done

    def _settle(self, item: InProgress, outcome: Outcome) -> Outcome:
        status = Status.FAILED if outcome.error else Status.SKIPPED if outcome.exists else Status.DONE
        before = Stamp(item.entry.result_size, item.entry.result_mtime)
        written = before if outcome.exists or outcome.target is None else stamp_of(outcome.target)
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


def outcome_of(job: Job, result: RestoredPhoto, left_out: tuple[str, ...]) -> Outcome:
    """The outcome of an image that was written, and what the result lacks."""
    faces = result.faces
    failed = [face.reason for face in faces if face.status is FaceStatus.FAILED]
    return Outcome(
        job.source.path,
        job.target,
        found=len(faces),
        restored=sum(face.status is FaceStatus.RESTORED for face in faces),
        failed=len(failed),
        faces=tuple(replace(face, crop=None, restored=None) for face in faces),
        frames=len(result.results) if len(result.results) > 1 else 0,
        tracks=result.tracks,
        warnings=result.photo.warnings,
        left_out=left_out,
        note=job.note,
        skipped=tuple(
            f"{face.status}: {face.reason}" if face.reason else str(face.status)
            for face in faces
            if face.status is not FaceStatus.RESTORED
        ),
        error=f"{job.source.path}: {len(failed)} of {len(faces)} faces failed: {failed[0]}" if failed else "",
    )


def write_faces(faces: Sequence[RestoredFace], stem: str, options: Options) -> None:
    """Write each restored face as it was, as it is, and both side by side, where the classic tool puts them.

    They are numbered from 00 by their index among all faces of the image, as for ``--faces``.

    Args:
        faces: of one image; those that were not restored are left out.
        stem: their name, relative to the folders of faces.
        options: the output folder and the suffix.

    Raises:
        OutputError: one cannot be written.
    """
    for index, face in enumerate(faces):
        if face.crop is None or face.restored is None:
            continue
        name = f"{stem}_{index:02d}"  # the number by which the face can be chosen another time
        images = (face.crop, ""), (face.restored, options.ending), (np.hstack([face.crop, face.restored]), "")
        for folder, (image, end) in zip(FOLDERS[1:], images, strict=True):
            write_image(options.output / folder / f"{name}{end}.png", image, overwrite=True)


def _remove_leftovers(store: JobStore, options: Options) -> None:
    """Remove half files of a killed run, where the store says that something was in progress.

    The store may be somebody else's, and links lead anywhere: outside of the output folder nothing is removed.
    """
    output, restored = os.path.realpath(options.output), store.absolute(FOLDERS[0])
    for folder in {target.parent for target in store.unfinished()}:
        folders = [folder]
        if folder.is_relative_to(restored):
            folders += [options.output / name / folder.relative_to(restored) for name in FOLDERS[1:]]
        for one in folders:
            if Path(os.path.realpath(one)).is_relative_to(output):
                remove_temporary_files(one)


def _decoded_bytes(item: InProgress) -> int:
    """Memory that a decoded image takes, from its header; one without is read alone."""
    try:
        with PIL.Image.open(item.job.source.path) as opened:
            return opened.width * opened.height * 3
    except Exception:  # reading it will say what is wrong, in our words
        return MAX_BYTES


def _result_bytes(item: tuple[InProgress, RestoredPhoto]) -> int:
    return sum(one.image.nbytes for one in item[1].results)
