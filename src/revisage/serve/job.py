"""A job: what was asked for, and how far it is; kept in a folder, so that it outlives the process.

::

    job.json            what was asked for, and how it ended
    uploads/            the files
    references/         photos of the person to restore
    outcomes.jsonl      a line for each file that is settled
    results/            restored files, and the job store by which a run resumes
    results.zip         all of them, made when it is first asked for
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from revisage.files import atomic_write
from revisage.serve.engine import Task

FILE, OUTCOMES = "job.json", "outcomes.jsonl"
UPLOADS, REFERENCES, RESULTS = "uploads", "references", "results"
_KEPT = ("id", "model", "fields", "names", "state", "error", "created", "finished")


class State(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(eq=False)
class Job:
    """A job.

    Attributes:
        id: its name in addresses, and that of its folder; nobody can guess it.
        folder: see the head of this module.
        model: name of the restorer, "" for the default.
        fields: controls, as they were given.
        names: of the files, in their order.
        state: how far it is.
        error: why it failed, else "".
        created, finished: in seconds since 1970; 0: not yet.
        frames, all_frames: of the video in progress, 0 if unknown.
        outcomes: the fields of each settled file, by its name.
        version: differs after each change.
        task: ends the job before its next step.
    """

    id: str
    folder: Path
    model: str
    fields: dict[str, Any]
    names: list[str]
    state: State = State.QUEUED
    error: str = ""
    created: float = 0.0
    finished: float = 0.0
    frames: int = 0
    all_frames: int = 0
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    version: int = 0
    task: Task[None] = field(default_factory=lambda: Task[None](float("inf")))

    def as_json(self) -> dict[str, Any]:
        """The fields that clients see."""
        shown = ("id", "model", "fields", "state", "error", "created", "finished", "frames", "all_frames")
        counts = {"total": len(self.names), "done": len(self.outcomes)}
        files = [self.outcomes[name] for name in self.names if name in self.outcomes]
        return {name: getattr(self, name) for name in shown} | counts | {"files": files}

    def save(self) -> None:
        """Write ``job.json``; when this returns, it outlives the process.

        Raises:
            OutputError: it cannot be written.
        """
        with atomic_write(self.folder / FILE) as temporary:
            temporary.write_text(json.dumps({name: getattr(self, name) for name in _KEPT}), encoding="utf-8")

    def settle(self, outcome: dict[str, Any]) -> None:
        """Note what became of a file; ``outcome["name"]`` is its name."""
        with (self.folder / OUTCOMES).open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(outcome)}\n")
        self.outcomes[outcome["name"]] = outcome
        self.version += 1


def video_scale(fields: Mapping[str, Any]) -> float:
    """The output scale of videos with these controls; their default is not that of photos."""
    return fields.get("scale") or 1.0


def without_folders(text: str, folder: Path) -> str:
    """A message for clients: names in place of the paths of files in a job's folder."""
    for root in dict.fromkeys((folder.resolve(), folder)):  # some messages have the whole path of a relative one
        for parent in (root / UPLOADS, root / REFERENCES, root / RESULTS, root):
            text = text.replace(f"{parent}{os.sep}", "")
        text = text.replace(str(root), "the job's folder")
    return text


def load_job(folder: Path) -> Job:
    """The job of a folder. One that was running when the process ended waits again.

    Raises:
        ValueError, KeyError, TypeError, OSError: it is not what ``save`` writes.
    """
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    job = Job(folder=folder, **{name: kept[name] for name in _KEPT})
    job.state = State(job.state)
    job.outcomes = {outcome["name"]: outcome for outcome in _read_outcomes(folder / OUTCOMES)}
    return job


def _read_outcomes(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; the last one may have been cut off with the process."""
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                yield json.loads(line)
