"""Restore a video from file to file, part by part, so that an interrupted run can resume.

Beside the result ``video.mp4`` there is, until it is whole, a folder ``.video.mp4.revisage`` with a job store and the
finished parts, ``000000.nut``, encoded. The row of a part is written last: it says that the part is whole, and holds
the state of tracking. Parts that were made with other settings are removed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from revisage import __version__
from revisage.errors import InputError, OutputError, suggest_keywords

try:
    from av.video.frame import VideoFrame
except ImportError as error:
    raise InputError("videos need PyAV: pip install 'revisage[video]'") from error

from revisage.jobs.outcome import Outcome
from revisage.jobs.store import Entry, JobStore, Status, folder_beside, open_store
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.tracking.faces import CONTEXT_FRAMES, RestoredFrame, restored_frames
from revisage.tracking.tracks import Track, Tracker
from revisage.types import FaceStatus
from revisage.video.joining import join
from revisage.video.pixels import replace_changed
from revisage.video.planning import plan_video, without_kept
from revisage.video.reading import Damage, Frame, Properties, frames, writing
from revisage.video.writing import CRF, Encoding, segment

SEGMENT = 120
"""Frames of a part; an interrupted run loses at most so many."""
TOLERATED = 0.05
"""Share of the announced frames that may be missing without a warning, as may a second's: often they are estimates."""

Progress = Callable[[int, int], None]
"""Called with the number of frames that are done, and of all (0 if unknown)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Results of a number of frames.

    Attributes:
        found: faces in them, each frame counted anew.
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
        counts: results of its frames.
        tracker: state of tracking some frames before its end, where a resumed run begins to detect.
        warnings: with the last part, a line for whatever of the video could not be read.
        last: whether the video ends with it.
        left_out: with the last part, what frames carried and no result holds, a few words each.
        total: frames of the video, 0 if unknown.
    """

    counts: Counts
    tracker: Tracker
    warnings: tuple[str, ...]
    last: bool
    total: int = 0
    left_out: tuple[str, ...] = ()

    def as_json(self) -> str:
        """As text; ``frames`` is repeated at the top, where ``revisage status`` reads it, and ``total``."""
        content: dict[str, Any] = {"frames": self.counts.frames, **asdict(self)}
        content["counts"]["people"] = sorted(self.counts.people)
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Part:
        """From text (ValueError, KeyError, TypeError: it is not what ``as_json`` writes)."""
        content: dict[str, Any] = json.loads(text)
        counts: dict[str, Any] = content["counts"]
        tracker: dict[str, Any] = content["tracker"]
        tracks = tuple(Track(one["number"], tuple(one["box"]), one["missed"]) for one in tracker["tracks"])
        return cls(
            replace(Counts(**counts), people=frozenset(counts["people"])),
            Tracker(tracks, tracker["faces"], tuple(tracker["thumbnail"])),
            tuple(content["warnings"]),
            content["last"],
            content["total"],
            tuple(content["left_out"]),
        )


@suggest_keywords(
    {
        **{name: f"controls=Controls({name}=...)" for name in ("scale", "strength", "selection")},
        **dict.fromkeys(("upscale", "outscale"), "controls=Controls(scale=...)"),
        "quality": "crf",
        **dict.fromkeys(("output", "out"), "target"),
        **dict.fromkeys(("video", "path", "input"), "source"),
    }
)
def restore_video(
    restorer: Restorer,
    source: str | Path,
    target: str | Path,
    controls: Controls | None = None,
    *,
    crf: int = CRF,
    overwrite: bool = False,
    resume: bool = True,
    strict: bool = False,
    segment_frames: int = SEGMENT,
    progress: Progress | None = None,
) -> Outcome:
    """Restore the faces of a video. An interrupted run resumes when it is called again.

    Args:
        restorer: what ``revisage.load`` returns.
        source: the video.
        target: the result; its extension decides the format: mp4, m4v, mov, mkv, webm.
        controls: how to restore; None for scale 1 and otherwise the defaults.
        crf: quality of the encoding on x264's scale: 0 is lossless, 18 visually lossless, 51 the worst.
        overwrite: replace a target that exists.
        resume: use the parts that an interrupted run finished.
        strict: refuse a video if anything of it would be left out.
        segment_frames: frames of a part, the most that an interruption loses.
        progress: called for every frame, and at the start with the number of those that were done before. It may raise
            ``CancelledError``: finished parts stay, and the same call resumes.

    Returns:
        Counts of frames, faces and tracks; what was left out because the format of the result cannot hold it; and a
        warning for whatever could not be read.

    Raises:
        InputError: the source is no video; the controls do not suit videos.
        OutputError: the result exists, or cannot be written; with ``strict`` also: something would be left out.
        WeightsError: a control needs a network that is not there.
    """
    _check_values(source, target, controls, crf)
    source, target = Path(source), Path(target)
    controls = restorer.resolve(controls or Controls(scale=1))
    plan = plan_video(source, target, controls, crf=crf, strict=strict)
    folder = folder_beside(target)
    job = Job(source, plan.video, restorer, controls, plan.encoding, segment_frames, folder)
    with open_store(target.parent, "restore", {"plan": job.plan()}, folder=folder, wait=True) as store:
        if target.exists() and not overwrite:
            shutil.rmtree(folder, ignore_errors=True)
            raise OutputError(f"{target} exists already")
        parts = job.finished(store, resume=resume)
        if not (parts and parts[-1].last):
            parts += job.remaining(store, parts, progress)
        late = dict.fromkeys(without_kept(parts[-1].left_out, plan.encoding))  # only the first frame was looked at
        left_out = tuple(dict.fromkeys((*plan.left_out, *late)))
        if strict and left_out:
            raise OutputError(f"{source}: not all of it can be kept (--strict): {', '.join(left_out)}")
        files = [job.part(number) for number in range(len(parts))]
        warnings = join(source, files, target, plan.video, plan.kept)
        shutil.rmtree(folder, ignore_errors=True)
    if sys.platform == "win32":  # there open files cannot be removed
        shutil.rmtree(folder, ignore_errors=True)
    total = _total(parts)
    return Outcome(
        source,
        target,
        found=total.found,
        restored=total.restored,
        failed=total.failed,
        frames=total.frames,
        tracks=len(total.people),
        warnings=(*parts[-1].warnings, *warnings),
        left_out=left_out,
    )


def _check_values(source: Any, target: Any, controls: Any, crf: Any) -> None:
    for name, value in {"source": source, "target": target}.items():
        if not isinstance(value, str | Path):
            raise InputError(f"{name} is the path of a video, not {value!r}")
    if not isinstance(controls, Controls | None):
        raise InputError(f"controls is a revisage.restore.controls.Controls, not {controls!r}")
    if type(crf) is not int or not 0 <= crf <= 51:
        raise InputError(f"crf is a whole number from 0 to 51, not {crf!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Source, result and settings of a restoration.

    Attributes:
        controls: resolved.
        segment_frames: frames of a part.
        folder: of the store and the parts.
    """

    source: Path
    video: Properties
    restorer: Restorer
    controls: Controls
    encoding: Encoding
    segment_frames: int
    folder: Path

    def plan(self) -> list[Any]:
        """Everything that the result depends on. The device is not part of it: it may change on the way."""
        file = self.source.stat()
        source = str(self.source.resolve()), file.st_size, file.st_mtime_ns
        how = repr(self.controls), self.restorer.name, self.restorer.size, repr(self.encoding), self.segment_frames
        return [__version__, *source, *how]

    def part(self, number: int) -> Path:
        """The encoded part of that number."""
        return self.folder / f"{number:06d}.nut"

    def finished(self, store: JobStore, *, resume: bool) -> list[Part]:
        """The parts that an earlier run with these settings finished, in order; all other parts are removed."""
        parts: list[Part] = []
        for entry in store.entries():
            is_current = store.settings.get(entry.run) == store.settings[store.run]
            if not resume or not is_current or entry.key != f"{len(parts):06d}" or not self.part(len(parts)).is_file():
                break
            try:
                parts.append(Part.from_json(entry.details))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                break
        kept = [self.part(number).name for number in range(len(parts))]
        for entry in store.entries()[len(parts) :]:
            store.remove(entry.key)
        with writing(self.folder):
            for file in self.folder.glob("*.nut"):
                if file.name not in kept:
                    file.unlink()
        return parts

    def remaining(self, store: JobStore, parts: Sequence[Part], progress: Progress | None) -> Iterator[Part]:
        """Restore the video part by part, from where ``parts`` end; yield each as soon as it is whole."""
        number, done = len(parts), _total(parts).frames
        start = max(done - CONTEXT_FRAMES, 0)  # the first frame that influences the next one
        damage = Damage()
        source = frames(self.source, self.video, damage, start)
        stream = restored_frames(source, self.restorer, self.controls, parts[-1].tracker if parts else Tracker())
        trackers = deque((one.tracked.before for one in islice(stream, done - start)), maxlen=CONTEXT_FRAMES)
        following = next(stream, None)
        while following is not None:
            counts, start = Counts(), time.perf_counter()
            with segment(self.part(number), self.encoding) as writer:
                while following is not None and counts.frames < self.segment_frames:
                    if progress:
                        progress(done + counts.frames, self.video.frames)
                    writer.write(self._encode(following), following.tracked.frame.ticks)
                    counts += count(following)
                    trackers.append(following.tracked.before)
                    following = next(stream, None)
            number, done = number + 1, done + counts.frames
            warnings = () if following else tuple(self._warnings(damage, done))
            carried = () if following else tuple(damage.side_data)
            part = Part(counts, trackers[0], warnings, following is None, self.video.frames, carried)
            self._finish(store, number - 1, part, time.perf_counter() - start)
            yield part

    def _finish(self, store: JobStore, number: int, part: Part, seconds: float) -> None:
        """Note that a part is whole."""
        entry = Entry(
            key=f"{number:06d}",
            source=store.relative(self.source),
            target=store.relative(self.part(number)),
            run=store.run,
            status=Status.DONE,
            seconds=round(seconds, 4),
            time=time.time(),
            details=part.as_json(),
        )
        store.put(entry)

    def _encode(self, restored: RestoredFrame[Frame]) -> VideoFrame:
        """The result as a frame; samples that no face changed stay as they were decoded."""
        frame = restored.tracked.frame
        coded = self.video.orientation.coded(restored.restoration.image)
        return replace_changed(frame.decoded, frame.coded, coded, self.video.colors, self.encoding.pixel_format)

    def _warnings(self, damage: Damage, done: int) -> Iterator[str]:
        if damage.packets:
            yield f"{self.source}: {damage.packets} damaged packets were left out"
        missing = self.video.frames - done
        if damage.cut_short or missing > max(TOLERATED * self.video.frames, self.video.rate):
            yield f"{self.source}: the video is cut short, after {done} of about {max(self.video.frames, done)} frames"


def count(restored: RestoredFrame[Frame]) -> Counts:
    """The results of one frame."""
    faces = restored.restoration.faces
    numbered = list(zip(restored.tracked.faces, faces, strict=True))
    people = frozenset(number for number, face in numbered if face.status is FaceStatus.RESTORED)
    failed = sum(face.status is FaceStatus.FAILED for face in faces)
    return Counts(1, len(faces), len(people), failed, people)


def _total(parts: Sequence[Part]) -> Counts:
    return sum((part.counts for part in parts), Counts())
