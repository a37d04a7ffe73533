"""Photos -> restored photos in a folder, whatever happens, and to be gone on with.

The network has the caller's thread. Photos are decoded before their turn and results encoded after it, in threads; the
outcomes come in the order of the sources, and the files are those of a run without threads, to the last byte.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import PIL.Image

from revisage.batch.journal import NO_FILE, Entry, Journal, Stamp, Status, opened, stamp_of
from revisage.batch.names import Job, plan
from revisage.batch.options import FOLDERS, Options, settings_of
from revisage.batch.originals import Originals
from revisage.batch.outcome import Outcome
from revisage.batch.saved_faces import write_faces
from revisage.errors import OutputError, fault_of
from revisage.files import is_disk_full, remove_temporary_files
from revisage.images import read_with_profile, write_image
from revisage.jobs.ahead import BYTES, ahead
from revisage.jobs.sources import Source, Sources
from revisage.restore.pipeline import Restorer
from revisage.types import FaceStatus, Image, Restoration, RestoredFace

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Begun:
    """A photo on its way: its names, its row in the journal, whether its result may replace a file, seconds so far."""

    job: Job
    entry: Entry
    overwrite: bool
    seconds: float = 0.0


def restore_files(restorer: Restorer, sources: Sources | Iterable[Source], options: Options) -> Generator[Outcome]:
    """Restore photos; whatever goes wrong with one, the rest goes on.

    With ``options.journal`` a photo is left out if an earlier run restored it with the same settings, neither photo nor
    result have changed since, and begun again otherwise; what failed is tried again.

    Args:
        restorer: what ``revisage.load`` returns.
        sources: what ``collect`` returns; anything else is held in memory.
        options: how, and where to.

    Yields:
        One outcome a source, in order. Close the generator if you do not take all.

    Raises:
        OutputError: the disk is full, the journal cannot be written, or another run is at work in the output folder.
            What was settled before stays, and the same call goes on from there.
    """
    if not isinstance(sources, Sources):
        sources = tuple(sources)
    settings = settings_of(restorer.name, options)
    with opened(options.output, settings, keep=options.journal) as journal:
        _remove_leftovers(journal, options)
        run = _Run(restorer, options, journal, Originals(sources, options.output))
        begun = map(run.begin, plan(sources, options, journal))
        with (
            closing(ahead(run.read, begun, Outcome, _decoded_bytes)) as read,
            closing(ahead(run.write, map(run.restore, read), Outcome, _result_bytes, prompt=True)) as written,
        ):
            yield from written


class _Run:
    """The steps of a photo. Each takes what the one before returned; an outcome is settled, and no step takes it on."""

    def __init__(self, restorer: Restorer, options: Options, journal: Journal, originals: Originals) -> None:
        self._restorer = restorer
        self._options = options
        self._journal = journal
        self._originals = originals

    def begin(self, job: Job) -> Begun | Outcome:
        """Decide whether there is anything to do, and if so put into the journal that it is begun."""
        path, (size, mtime), existing = job.source.path, stamp_of(job.source.path), stamp_of(job.target)
        entry = job.entry or Entry(
            key=job.key,
            source=self._journal.relative(path),
            target=self._journal.relative(job.target),
            run=self._journal.run,
            status=Status.STARTED,
        )
        made_here = existing != NO_FILE and existing == (entry.result_size, entry.result_mtime)
        if made_here and self._is_current(entry, Stamp(size, mtime)):
            return Outcome(path, job.target, exists=True, up_to_date=True)
        begun = Begun(job, replace(entry, size=size, mtime=mtime), made_here or self._options.overwrite)
        if fault := job.source.fault or self._refusal(job, made_here):
            return self._settle(begun, Outcome(path, error=fault))
        if existing != NO_FILE and not begun.overwrite:
            return self._leave(begun)
        if job.entry is not None:
            self._journal.put(replace(begun.entry, run=self._journal.run, status=Status.STARTED))
        return begun

    def _is_current(self, entry: Entry, source: Stamp) -> bool:
        """Whether an earlier run finished this photo as it is now, with the settings of this run."""
        settings = self._journal.settings
        return (
            entry.status == Status.DONE
            and source == (entry.size, entry.mtime)
            and settings.get(entry.run) == settings[self._journal.run]  # a damaged journal may lack a run
        )

    def _refusal(self, job: Job, made_here: bool) -> str:
        """Why a photo must not be restored to where its result would go, or ""."""
        path, options = job.source.path, self._options
        if not made_here and self._originals.would_lose(job.target, path):
            return f"{path}: the result would replace an original, {job.target}; use another folder"
        if options.save_faces:
            folder = Path(os.path.realpath(path)).parent
            if any(folder.is_relative_to(os.path.realpath(options.output / name)) for name in FOLDERS):
                return f"{path} lies among the results; use another folder for them"
        return ""

    def _leave(self, begun: Begun) -> Outcome:
        """Leave a result as it is that somebody else made, or has changed since."""
        outcome = Outcome(begun.job.source.path, begun.job.target, exists=True)
        return outcome if begun.entry.status in (Status.DONE, Status.SKIPPED) else self._settle(begun, outcome)

    def read(self, begun: Begun) -> tuple[Begun, tuple[Image, bytes]] | Outcome:
        """Decode; the colour profile comes along."""
        path = begun.job.source.path
        return self._attempt(begun, lambda: read_with_profile(path))

    def restore(self, item: tuple[Begun, tuple[Image, bytes]] | Outcome) -> tuple[Begun, Restoration] | Outcome:
        """The network's part, in the caller's thread."""
        if isinstance(item, Outcome):
            return item
        begun, (image, profile) = item
        controls = self._options.controls
        return self._attempt(begun, lambda: self._restorer.restore([image], controls, profiles=[profile])[0])

    def write(self, item: tuple[Begun, Restoration]) -> Outcome:
        """Encode, and settle the photo."""
        begun, result = item
        written = self._attempt(begun, lambda: self._write(begun, result))
        if isinstance(written, Outcome):
            return written
        return self._settle(written[0], outcome_of(begun.job, result.faces))

    def _write(self, begun: Begun, result: Restoration) -> None:
        job, options = begun.job, self._options
        if options.save_faces:
            write_faces(result.faces, job.stem, options)
        kept = {"overwrite": begun.overwrite, "preserve_mtime": options.keep_time}
        write_image(job.target, result.image, like=job.source.path, **kept)

    def _attempt(self, begun: Begun, step: Callable[[], Done]) -> tuple[Begun, Done] | Outcome:
        """Take one step, and count the seconds; what goes wrong is settled at once."""
        start, path = time.perf_counter(), begun.job.source.path
        try:
            done = step()
        except OutputError as error:  # names the result
            outcome = self._settle(begun, Outcome(path, error=str(error)))
            if is_disk_full(error):  # so it will be for all that follow
                raise OutputError(f"{error}; stopped, and the same call goes on once there is room") from error
            return outcome
        except Exception as error:  # a fault nobody thought of must not cost the photos after this one
            return self._settle(begun, Outcome(path, error=fault_of(path, error)))
        return replace(begun, seconds=begun.seconds + time.perf_counter() - start), done

    def _settle(self, begun: Begun, outcome: Outcome) -> Outcome:
        status = Status.FAILED if outcome.error else Status.SKIPPED if outcome.exists else Status.DONE
        before = Stamp(begun.entry.result_size, begun.entry.result_mtime)
        made = before if outcome.exists or outcome.target is None else stamp_of(outcome.target)
        entry = replace(
            begun.entry,
            run=self._journal.run,
            status=status,
            reason=outcome.error or "; ".join(outcome.skipped),
            result_size=made.size,
            result_mtime=made.mtime,
            found=outcome.found,
            restored=outcome.restored,
            seconds=round(begun.seconds, 4),
            time=time.time(),
        )
        self._journal.put(entry)
        return outcome


def outcome_of(job: Job, faces: list[RestoredFace]) -> Outcome:
    """What to say about a photo that was written."""
    failed = [face.reason for face in faces if face.status is FaceStatus.FAILED]
    return Outcome(
        job.source.path,
        job.target,
        found=len(faces),
        restored=sum(face.status is FaceStatus.RESTORED for face in faces),
        skipped=tuple(
            f"{face.status}: {face.reason}" if face.reason else str(face.status)
            for face in faces
            if face.status is not FaceStatus.RESTORED
        ),
        error=f"{job.source.path}: {len(failed)} of {len(faces)} faces failed: {failed[0]}" if failed else "",
    )


def _remove_leftovers(journal: Journal, options: Options) -> None:
    """Remove half files of a killed run, where the journal says that something was in the making.

    The journal may be somebody else's, and links lead anywhere: outside of the output folder nothing is removed.
    """
    output, photos = os.path.realpath(options.output), journal.absolute(FOLDERS[0])
    for folder in {target.parent for target in journal.unfinished()}:
        folders = [folder]
        if folder.is_relative_to(photos):
            folders += [options.output / name / folder.relative_to(photos) for name in FOLDERS[1:]]
        for one in folders:
            if Path(os.path.realpath(one)).is_relative_to(output):
                remove_temporary_files(one)


def _decoded_bytes(begun: Begun) -> int:
    """How much memory a photo will take, from its header; one without is read alone."""
    try:
        with PIL.Image.open(begun.job.source.path) as opened:
            return opened.width * opened.height * 3
    except Exception:  # whatever Pillow says of it, reading will say it in our words
        return BYTES


def _result_bytes(item: tuple[Begun, Restoration]) -> int:
    return item[1].image.nbytes
