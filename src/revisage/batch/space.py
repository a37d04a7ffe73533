"""Whether the disk has room for all results of a run, by low estimates, before anything is restored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from revisage.batch.options import Options
from revisage.errors import OutputError
from revisage.files import describe_size, free_bytes
from revisage.jobs.collector import Kind, Source
from revisage.jobs.store import folder_beside

VideoBytes = Callable[[Path, float], int]
"""(video, output scale) -> bytes of its result at least; 0 if nothing is known."""
MAX_FILES, MAX_VIDEOS = 20_000, 500
"""Files that are looked at, and videos that are opened: more would delay a run. Space for the others is added."""
PHOTO_SHARE = 0.5
"""Bytes of a result over those of its source, at scale 1: what formats that compress well take at least."""


def check_space(sources: Iterable[Source], options: Options, video_bytes: VideoBytes) -> None:
    """Make sure that there is room for the results that are not there yet, photos and videos together.

    OutputError: there is not; names the folder, and both sizes.
    """
    needed = files = videos = largest = 0
    for source in islice(sources, MAX_FILES):
        extension = options.extension_for(source.path.suffix, source.kind)
        name = f"{source.path.stem}{options.ending}{extension}"
        target = options.target or options.restored / source.below / name
        if source.fault or target.exists():
            continue
        with suppress(OSError):  # will be said when it is read
            size = _photo_bytes(source, options)
            if source.kind is Kind.VIDEO:
                videos += 1
                size = video_bytes(source.path, options.video_scale) if videos <= MAX_VIDEOS else 0
                largest = max(largest, size)  # its parts and the result lie side by side at the end
                size -= sum(part.stat().st_size for part in folder_beside(target).glob("*.nut"))
            needed, files = needed + max(size, 0), files + 1
    needed += largest
    if files and needed > (free := free_bytes(options.output / "result")):
        room = f"about {describe_size(needed)} are needed for {files} results, {describe_size(free)} are free"
        raise OutputError(f"cannot write to {options.output}: {room}")


def _photo_bytes(source: Source, options: Options) -> int:
    scale = 0 if options.controls.aligned else options.controls.scale
    return round(source.path.stat().st_size * scale**2 * PHOTO_SHARE)
