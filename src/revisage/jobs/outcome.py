"""The outcome of one input of a run: what was restored, what was left out, what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from revisage.types import RestoredFace


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one input, an image or a video.

    Attributes:
        path: the input.
        target: the restored file, None if none was written.
        found: faces found, in a video those of every frame.
        restored: faces restored.
        failed: faces whose restoration failed.
        frames: frames of a video, 0 for an image.
        tracks: restored people of a video, 0 for an image.
        faces: those of an image, without their crops; of a video none.
        numbers: frame (or page) and number of each of ``faces``, of an animation or a file of several pages.
        skipped: for each face of an image that was not restored, one line with the reason.
        warnings: one line for each part of an image or video that could not be read or copied.
        left_out: for each thing that the source holds and the result does not (frames, gain map, transparency, bits,
            metadata, ...) a few words; empty: nothing was lost.
        note: why the result has another format than its source, in a few words, or "".
        exists: the input was skipped because its result exists already.
        up_to_date: that result is known to be the one that this run would write.
        error: one line that names the file if something went wrong, else "". If only a face failed there is a target
            all the same.
        seconds: of work, in this run.
    """

    path: Path
    target: Path | None = None
    found: int = 0
    restored: int = 0
    failed: int = 0
    frames: int = 0
    tracks: int = 0
    faces: tuple[RestoredFace, ...] = ()
    numbers: tuple[tuple[int, int], ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    note: str = ""
    exists: bool = False
    up_to_date: bool = False
    error: str = ""
    seconds: float = 0.0
