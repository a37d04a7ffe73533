"""Where a film is restored part by part, so that an interrupted run can go on.

Beside the result ``film.mp4`` there is, until it is whole, a folder ``.film.mp4.revisage`` with

    plan.json       what is made from what, and how; a run with another plan starts again
    000000.nut      a finished part, encoded
    000000.json     what is known at its end; it is written last and says that the part is whole
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from revisage.files import atomic_write
from revisage.video.failures import writing
from revisage.video.tracks import Track, Tracker


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a number of frames.

    Attributes:
        frames: how many.
        found: faces in them, each frame counted anew.
        restored: those that were restored.
        failed: those that should have been.
        people: tracks of which at least one face was restored.
    """

    frames: int = 0
    found: int = 0
    restored: int = 0
    failed: int = 0
    people: frozenset[int] = frozenset()

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.frames + other.frames,
            self.found + other.found,
            self.restored + other.restored,
            self.failed + other.failed,
            self.people | other.people,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part.

    Attributes:
        counts: what became of its frames.
        tracker: what was known some frames before its end, where a new run begins to look.
        warnings: with the last part, a line for whatever of the film could not be read.
        last: whether the film ends with it.
    """

    counts: Counts
    tracker: Tracker
    warnings: tuple[str, ...]
    last: bool

    def as_json(self) -> str:
        """As text."""
        fields = asdict(self)
        fields["counts"]["people"] = sorted(self.counts.people)
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Part:
        """From text.

        Raises:
            ValueError, KeyError, TypeError: it is not what ``as_json`` writes.
        """
        fields: dict[str, Any] = json.loads(text)
        counts: dict[str, Any] = fields["counts"]
        tracker: dict[str, Any] = fields["tracker"]
        tracks = tuple(Track(one["number"], tuple(one["box"]), one["unseen"]) for one in tracker["tracks"])
        return cls(
            replace(Counts(**counts), people=frozenset(counts["people"])),
            Tracker(tracks, tracker["faces"], tuple(tracker["glimpse"])),
            tuple(fields["warnings"]),
            fields["last"],
        )


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one result."""

    folder: Path

    @classmethod
    def beside(cls, target: Path) -> Workspace:
        """That of ``target``."""
        return cls(target.with_name(f".{target.name}.revisage"))

    @property
    def lock(self) -> Path:
        """Held by the process that works here."""
        return self.folder / "lock"

    def part(self, number: int) -> Path:
        """The encoded part of that number."""
        return self.folder / f"{number:06d}.nut"

    def begin(self, plan: str) -> list[Part]:
        """Make ready for a plan -> the parts of it that are finished; what belongs to another plan is removed.

        Raises:
            OutputError: the folder cannot be written to.
        """
        path = self.folder / "plan.json"
        with writing(self.folder):
            if path.is_file() and path.read_text(encoding="utf-8") == plan:
                return self._finished()
            for entry in self.folder.glob("[0-9]*.*"):
                entry.unlink()
        with atomic_write(path) as temporary:
            temporary.write_text(plan, encoding="utf-8")
        return []

    def _finished(self) -> list[Part]:
        parts: list[Part] = []
        while self.part(len(parts)).is_file():
            try:
                parts.append(Part.from_json(self._record(len(parts)).read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                break
        return parts

    def finish(self, number: int, part: Part) -> None:
        """Say that a part is whole."""
        with atomic_write(self._record(number)) as temporary:
            temporary.write_text(part.as_json(), encoding="utf-8")

    def _record(self, number: int) -> Path:
        return self.part(number).with_suffix(".json")

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
