"""Restoring a film from file to file."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from revisage import __version__
from revisage.errors import InputError, OutputError
from revisage.restore.controls import Controls

try:
    from av.video.frame import VideoFrame
except ImportError as error:
    raise InputError("films need PyAV: pip install 'revisage[video]'") from error

from revisage.jobs.lock import locked
from revisage.restore.pipeline import Restorer
from revisage.types import FaceStatus
from revisage.video.faces import REACH, Finished, restored_frames
from revisage.video.failures import writing
from revisage.video.formats import container_of
from revisage.video.joining import join
from revisage.video.pixels import changed_frame
from revisage.video.reading import Damage, Properties, examine, frames
from revisage.video.tracks import Tracker
from revisage.video.workspace import Counts, Part, Workspace
from revisage.video.writing import CRF, Encoding, encoding_for, segment

SEGMENT = 120
"""Frames of a part; an interrupted run loses at most so many."""

MISSING = 0.05
"""Share of the announced frames that may be missing without a word, as may a second's: files often give estimates."""

Progress = Callable[[int, int], None]
"""Is told how many frames are done, and how many there will be (0 if that is not known)."""


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What became of a film.

    Attributes:
        target: the restored film.
        counts: frames, faces, people.
        warnings: a line for whatever was left out: frames that could not be decoded, streams that could not be copied.
    """

    target: Path
    counts: Counts
    warnings: tuple[str, ...]


def restore_video(
    restorer: Restorer,
    source: str | Path,
    target: str | Path,
    controls: Controls | None = None,
    *,
    crf: int = CRF,
    overwrite: bool = False,
    segment_frames: int = SEGMENT,
    progress: Progress | None = None,
) -> VideoOutcome:
    """Restore the faces of a film. An interrupted run goes on where it was when it is called again.

    Args:
        restorer: what ``revisage.load`` returns.
        source: the film.
        target: where the result goes; its extension says the format: mp4, m4v, mov, mkv, webm.
        controls: how; None for scale 1, all else as for photos.
        crf: quality of the encoding on x264's scale: 0 loses nothing, 18 nothing that is seen, 51 is the worst.
        overwrite: replace a target that exists.
        segment_frames: frames that are encoded as one part, and that an interruption loses at most.
        progress: is told of every frame, and at the start how many were done before.

    Raises:
        InputError: the source is no film; the controls do not suit films.
        OutputError: the result exists, or cannot be written.
        WeightsError: a control needs a network that is not there.
    """
    source, target = Path(source), Path(target)
    controls = restorer.settled(controls or Controls(scale=1))
    if controls.aligned:
        raise InputError("a film is not one aligned face: restore it without `aligned`")
    container = container_of(target)
    film = examine(source)
    if target.exists() and target.samefile(source):
        raise InputError(f"{source} and the result are the same file")
    encoding = encoding_for(film, container, controls.scale, crf)
    workspace = Workspace.beside(target)
    with ExitStack() as held:
        with writing(workspace.folder):
            held.enter_context(locked(workspace.lock))
        if target.exists() and not overwrite:
            workspace.remove()
            raise OutputError(f"{target} exists already")
        job = Job(source, film, restorer, controls, encoding, segment_frames)
        parts = workspace.begin(job.plan())
        if not (parts and parts[-1].last):
            parts += job.remaining(workspace, parts, progress)
        lost = join(source, [workspace.part(number) for number in range(len(parts))], target, film)
        workspace.remove()
    return VideoOutcome(target, _total(parts), (*parts[-1].warnings, *lost))


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What is made from what, and how.

    Attributes:
        source: the film.
        film: its properties.
        restorer: what restores.
        controls: settled.
        encoding: of the result.
        segment_frames: frames of a part.
    """

    source: Path
    film: Properties
    restorer: Restorer
    controls: Controls
    encoding: Encoding
    segment_frames: int

    def plan(self) -> str:
        """All that decides about the result, as text. The device is not part of it: it may change on the way."""
        file = self.source.stat()
        source = str(self.source.resolve()), file.st_size, file.st_mtime_ns
        how = repr(self.controls), self.restorer.name, self.restorer.size, repr(self.encoding), self.segment_frames
        return json.dumps([__version__, *source, *how])

    def remaining(self, workspace: Workspace, parts: Sequence[Part], progress: Progress | None) -> Iterator[Part]:
        """Restore the film part by part, from where ``parts`` end.

        Yields:
            each part as soon as it is whole.
        """
        number, done = len(parts), _total(parts).frames
        start = max(done - REACH, 0)  # where a frame comes from that has a say in the next one
        damage = Damage()
        source = frames(self.source, self.film, damage, start)
        stream = restored_frames(source, self.restorer, self.controls, parts[-1].tracker if parts else Tracker())
        known = deque((one.seen.before for one in islice(stream, done - start)), maxlen=REACH)
        ahead = next(stream, None)
        while ahead is not None:
            counts = Counts()
            with segment(workspace.part(number), self.encoding) as writer:
                while ahead is not None and counts.frames < self.segment_frames:
                    if progress:
                        progress(done + counts.frames, self.film.frames)
                    writer.write(self._encoded(ahead), ahead.seen.frame.ticks)
                    counts += counted(ahead)
                    known.append(ahead.seen.before)
                    ahead = next(stream, None)
            number, done = number + 1, done + counts.frames
            warnings = () if ahead else tuple(self._warnings(damage, done))
            part = Part(counts, known[0], warnings, last=ahead is None)
            workspace.finish(number - 1, part)
            yield part

    def _encoded(self, finished: Finished) -> VideoFrame:
        """The result as a frame; what no face changed is handed on as it was decoded."""
        frame = finished.seen.frame
        coded = np.rot90(finished.restoration.image, -(self.film.rotation // 90))
        return changed_frame(frame.decoded, frame.coded, coded, self.film.colours, self.encoding.pixel_format)

    def _warnings(self, damage: Damage, done: int) -> Iterator[str]:
        if damage.packets:
            yield f"{self.source}: {damage.packets} damaged packets were left out"
        missing = self.film.frames - done
        if damage.cut_short or missing > max(MISSING * self.film.frames, self.film.rate):
            yield f"{self.source}: the film is cut short, after {done} of about {max(self.film.frames, done)} frames"


def counted(finished: Finished) -> Counts:
    """What became of one frame."""
    faces = finished.restoration.faces
    numbered = list(zip(finished.seen.faces, faces, strict=True))
    restored = frozenset(number for number, face in numbered if face.status is FaceStatus.RESTORED)
    failed = sum(face.status is FaceStatus.FAILED for face in faces)
    return Counts(1, len(faces), len(restored), failed, restored)


def _total(parts: Sequence[Part]) -> Counts:
    return sum((part.counts for part in parts), Counts())
