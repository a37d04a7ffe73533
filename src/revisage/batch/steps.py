"""The steps of a source: read, restore, write. They know files and networks, not the job store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import PIL.Image

from revisage.batch.names import Job
from revisage.batch.options import FOLDERS, Options
from revisage.batch.photos import RestoredPhoto, read_checked, restore_photo, restore_still
from revisage.errors import CancelledError, InputError, OutputError, fault_of
from revisage.files import is_disk_full, safe_open
from revisage.images import Photo, write_image
from revisage.jobs.buckets import UnreachableError
from revisage.jobs.collector import Kind
from revisage.jobs.ordered_prefetch import MAX_BYTES, ordered_prefetch
from revisage.jobs.outcome import Outcome
from revisage.jobs.store import NO_FILE, Entry, Stamp, stamp_of
from revisage.process import release_free_memory
from revisage.restore.controls import Controls
from revisage.restore.pipeline import GROUP_BATCHES, LARGE, Restorer
from revisage.types import FaceStatus, RestoredFace

Done = TypeVar("Done")


class RestoreVideo(Protocol):
    """``revisage.video.restore.restore_video``, or a function around it that shows progress."""

    def __call__(
        self, restorer: Restorer, source: Path, target: Path, controls: Controls, *, overwrite: bool
    ) -> Outcome:
        """Restore the video ``source`` into the file ``target``."""
        ...


@dataclass(frozen=True, slots=True)
class InProgress:
    """A source in progress.

    Attributes:
        job: its names.
        entry: its row in the store.
        overwrite: its result may replace a file.
        existing: the stamp of that file when the work began.
        seconds: of work so far.
    """

    job: Job
    entry: Entry
    overwrite: bool
    existing: Stamp = NO_FILE
    seconds: float = 0.0


Settle = Callable[[InProgress, Outcome, Stamp], Outcome]
"""Is told what became of a source, and the stamp of the result that was written, if any: at once, from any thread.
Returns what is handed on."""
Opened = tuple[InProgress, Photo]
"""A source in progress with what was read of it."""


class Steps:
    """The steps of a source. Each takes what the one before returned; an outcome is final and passes through.

    Args:
        settle: takes note of outcomes.
        restore_video: restores a video; None if no source is one.
    """

    def __init__(
        self, restorer: Restorer, options: Options, settle: Settle, restore_video: RestoreVideo | None = None
    ) -> None:
        self._restorer = restorer
        self._options = options
        self._settle = settle
        self._restore_video = restore_video
        # With an accelerator the restorer prepares some photos while the network is busy with others.
        self._group_size = restorer.batch * (GROUP_BATCHES if restorer.has_accelerator else 1)

    def restore_all(self, items: Iterable[InProgress | Outcome]) -> Generator[Outcome]:
        """Restore images, then videos."""
        videos: list[InProgress] = []

        def images() -> Iterator[InProgress | Outcome]:
            for item in items:
                if isinstance(item, InProgress) and item.job.source.kind is Kind.VIDEO:
                    videos.append(item)
                else:
                    yield item

        with closing(ordered_prefetch(self.read, images(), Outcome, self.decoded_bytes)) as read:
            restored = self.restore_groups(read)
            with closing(ordered_prefetch(self.write, restored, Outcome, _result_bytes, prompt=True)) as written:
                yield from written
        yield from map(self.restore_video, videos)

    def decoded_bytes(self, item: InProgress) -> int:
        """Memory that a decoded image takes, from its header; one without is read alone."""
        try:
            with safe_open(item.job.source.path) as file, PIL.Image.open(file) as opened:
                return opened.width * opened.height * 3
        except Exception:  # reading it will say what is wrong, in our words
            return MAX_BYTES

    def read(self, item: InProgress) -> Opened | Outcome:
        """Decode an image, with all of its frames or pages."""
        return self._attempt(item, lambda: read_checked(item.job.source.path, item.job.target, self._options))

    def restore_groups(
        self, opened: Iterable[Opened | Outcome]
    ) -> Iterator[tuple[InProgress, RestoredPhoto] | Outcome]:
        """Restore photos in groups, in order, so that the faces of several fill the batches of the network."""
        group: list[Opened] = []
        for one in opened:
            if isinstance(one, Outcome) or one[1].seconds:  # an animation is tracked, and goes alone
                yield from self._restore_group(group)
                yield self.restore(one)
                continue
            group.append(one)
            del one  # photos must not be held while their results are written
            if len(group) >= self._group_size or _group_bytes(group) > MAX_BYTES:
                yield from self._restore_group(group)
        yield from self._restore_group(group)

    def _restore_group(self, group: list[Opened]) -> Iterator[tuple[InProgress, RestoredPhoto] | Outcome]:
        """Restore the photos of a group, which is empty then."""
        start, count = time.perf_counter(), len(group)
        try:
            controls = self._options.controls
            results = restore_still(self._restorer, [photo for _, photo in group], controls) if count > 1 else []
        except CancelledError:
            raise
        except Exception:  # restored one by one they say which of them is at fault
            results = []
        items = [item for item, _ in group]
        if results:
            group.clear()
        while group:
            yield self.restore(group.pop(0))
        seconds = (time.perf_counter() - start) / max(count, 1)
        for item, result in zip(items, results, strict=False):
            yield replace(item, seconds=item.seconds + seconds), self._kept(result)

    def restore(self, opened: Opened | Outcome) -> tuple[InProgress, RestoredPhoto] | Outcome:
        """Run the network, in the caller's thread."""
        if isinstance(opened, Outcome):
            return opened
        item, photo = opened
        return self._attempt(item, lambda: self._kept(restore_photo(self._restorer, photo, self._options.controls)))

    def _kept(self, result: RestoredPhoto) -> RestoredPhoto:
        """What has to be held until the result is written."""
        return result if self._options.save_faces else result.without_crops()

    def write(self, restored: tuple[InProgress, RestoredPhoto]) -> Outcome:
        """Encode an image, and settle its source."""
        item, result = restored
        written = self._attempt(item, lambda: self._write(item, result))
        if isinstance(written, Outcome):
            return written
        done, left_out = written
        return self._settle(done, outcome_of(item.job, result, left_out), stamp_of(item.job.target))

    def _write(self, item: InProgress, result: RestoredPhoto) -> tuple[str, ...]:
        job, options = item.job, self._options
        if _result_bytes((item, result)) >= LARGE:
            release_free_memory()  # encoders need more than the image itself, in large pieces
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

    def restore_video(self, item: InProgress) -> Outcome:
        """Restore a video, and settle it."""
        job, options, restore_video = item.job, self._options, self._restore_video

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
        return done if isinstance(done, Outcome) else self._settle(*done, stamp_of(job.target))

    def _attempt(self, item: InProgress, step: Callable[[], Done]) -> tuple[InProgress, Done] | Outcome:
        """Take one step, and count the seconds; a failure settles the source."""
        start, path = time.perf_counter(), item.job.source.path
        try:
            done = step()
        except OutputError as error:  # names the result
            outcome = self._settle(item, Outcome(path, error=str(error)), NO_FILE)
            if is_disk_full(error):  # so it will be for all that follow
                raise OutputError(f"{error}; stopped, free some space and run the same again to resume") from error
            return outcome
        except UnreachableError as error:
            self._settle(item, Outcome(path, error=str(error)), NO_FILE)
            raise OutputError(f"{error}; stopped, run the same again to resume") from error
        except CancelledError:
            raise
        except Exception as error:  # an unexpected error must not cost the sources after this one
            return self._settle(item, Outcome(path, error=fault_of(path, error)), NO_FILE)
        return replace(item, seconds=item.seconds + time.perf_counter() - start), done


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
        numbers=result.numbers,
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

    They are numbered from 00 by their index among all faces of the image, as for ``--faces``. ``stem`` is their name,
    relative to the folders of faces.
    """
    for index, face in enumerate(faces):
        if face.crop is None or face.restored is None:
            continue
        name = f"{stem}_{index:02d}"  # the number by which the face can be chosen another time
        images = (face.crop, ""), (face.restored, options.ending), (np.hstack([face.crop, face.restored]), "")
        for folder, (image, end) in zip(FOLDERS[1:], images, strict=True):
            write_image(options.output / folder / f"{name}{end}.png", image, overwrite=True)


def _result_bytes(item: tuple[InProgress, RestoredPhoto]) -> int:
    return sum(one.image.nbytes for one in item[1].results)


def _group_bytes(group: Sequence[Opened]) -> int:
    return sum(frame.nbytes for _, photo in group for frame in photo.frames)
