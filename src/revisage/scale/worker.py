"""Restore sources inside an actor: one model, batches of sources in, reports out."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from revisage.batch.options import Options
from revisage.batch.photos import RestoredPhoto
from revisage.batch.steps import InProgress, Opened, RestoreVideo, Settle, Steps
from revisage.errors import InputError, OutputError
from revisage.jobs.buckets import Address, reaching
from revisage.jobs.outcome import Outcome
from revisage.jobs.store import NO_FILE, Stamp, stamp_of
from revisage.process import tune_process
from revisage.restore.pipeline import Restorer


@dataclass(frozen=True)
class Report:
    """The end of a source, as an actor tells it.

    Attributes:
        key: of the source's job.
        outcome: the result.
        seconds: of work.
        written: stamp of the file or object that was written.
    """

    key: str
    outcome: Outcome
    seconds: float
    written: Stamp


@dataclass(frozen=True)
class Stop:
    """A fault that all further sources would meet as well (full disk, unreachable bucket), in one line."""

    reason: str


class Worker:
    """The work of an actor.

    Args:
        load: makes the restorer of this actor.
        options: how to restore.
        folder: the current folder of the run, to which paths are relative; None where all paths are URLs.
        restore_video: restores a video; None if no source is one.

    Raises:
        InputError: the folder does not exist on this machine.
    """

    def __init__(
        self,
        load: Callable[[], Restorer],
        options: Options,
        folder: Path | None = None,
        restore_video: RestoreVideo | None = None,
    ) -> None:
        if folder is not None:
            try:
                os.chdir(folder)
            except OSError as error:
                raise InputError(f"{folder} is not on every machine; share the folder, or use a bucket") from error
        tune_process()
        self._reports: list[Report] = []
        self._steps = StagedSteps(load(), options, self._settle, restore_video)

    def _settle(self, item: InProgress, outcome: Outcome, written: Stamp) -> Outcome:
        self._reports.append(Report(item.job.key, outcome, item.seconds, written))
        return outcome

    def restore(self, items: Iterable[InProgress]) -> list[Report | Stop]:
        """Restore sources; the last report may say that the run has to stop."""
        self._reports.clear()
        stops: list[Stop] = []
        try:
            for _ in self._steps.restore_all(items):
                pass
        except OutputError as error:
            stops.append(Stop(str(error)))
        return [*self._reports, *stops]

    def __call__(self, batch: dict[str, Iterable[bytes]]) -> dict[str, list[bytes]]:
        """The same on columns of pickles: ``{"item": [...]}`` in, ``{"report": [...]}`` out."""
        reports = self.restore([pickle.loads(one) for one in batch["item"]])
        return {"report": [pickle.dumps(one) for one in reports]}


class StagedSteps(Steps):
    """The steps of sources that a lost worker may have had before, and of objects in buckets, in temporary files."""

    def __init__(
        self, restorer: Restorer, options: Options, settle: Settle, restore_video: RestoreVideo | None = None
    ) -> None:
        super().__init__(restorer, options, self._settle_staged, restore_video)
        self._settle_original = settle
        self._staged: dict[str, tuple[InProgress, Path]] = {}

    def decoded_bytes(self, item: InProgress) -> int:
        """Memory that a decoded image takes; of an object, which is not there yet, a guess from its size."""
        return 16 * item.entry.size if isinstance(item.job.source.path, Address) else super().decoded_bytes(item)

    def read(self, item: InProgress) -> Opened | Outcome:
        """Download an object and decode it; a result that a lost worker has finished is taken as it is."""
        job, written = item.job, stamp_of(item.job.target)
        if written not in (NO_FILE, item.existing):
            note = f"{job.source.path}: its worker was lost before it could say which faces it restored"
            return self._settle_original(item, Outcome(job.source.path, job.target, warnings=(note,)), written)
        staged = self._attempt(item, lambda: self._stage(item))
        if isinstance(staged, Outcome):
            return staged
        begun, local = staged
        return super().read(replace(local, seconds=begun.seconds))

    def _stage(self, item: InProgress) -> InProgress:
        """The source as a local file, and a local place for the result."""
        job, source, target = item.job, item.job.source.path, item.job.target
        if not (isinstance(source, Address) or isinstance(target, Address)):
            return item
        folder = Path(tempfile.mkdtemp(prefix="revisage-"))
        self._staged[job.key] = item, folder
        if isinstance(source, Address):
            copy = folder / "source" / source.name
            copy.parent.mkdir()
            with reaching(source):
                source.filesystem().get_file(str(source), str(copy))
            job = replace(job, source=replace(job.source, path=copy))
        if isinstance(target, Address):
            job = replace(job, target=folder / "target" / target.name)
        return replace(item, job=job)

    def _write(self, item: InProgress, result: RestoredPhoto) -> tuple[str, ...]:
        left_out = super()._write(item, result)
        original, _ = self._staged.get(item.job.key, (item, None))
        target = original.job.target
        if isinstance(target, Address):  # services show an object once it is whole
            with reaching(target):
                target.filesystem().put_file(str(item.job.target), str(target))
        return left_out

    def _settle_staged(self, item: InProgress, outcome: Outcome, written: Stamp) -> Outcome:
        """Settle the original source; messages name it instead of its copy."""
        if item.job.key not in self._staged:
            return self._settle_original(item, outcome, written)
        original, folder = self._staged.pop(item.job.key)
        shutil.rmtree(folder, ignore_errors=True)
        source, target = original.job.source.path, original.job.target

        def named(text: str) -> str:
            parents = {"source": source.parent, "target": target.parent}
            for name, parent in parents.items():
                text = text.replace(str(folder / name), str(parent))
            return text

        outcome = replace(
            outcome,
            path=source,
            target=outcome.target and target,
            error=named(outcome.error),
            warnings=tuple(map(named, outcome.warnings)),
        )
        if outcome.target is not None and isinstance(target, Address):
            written = stamp_of(target)
        return self._settle_original(replace(original, seconds=item.seconds), outcome, written)
