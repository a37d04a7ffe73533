"""Decide how a video is restored, and find out what can fail, before its first frame."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from revisage.errors import InputError, OutputError
from revisage.jobs.store import folder_beside
from revisage.restore.controls import Controls
from revisage.video.joining import Kept
from revisage.video.reading import Properties, probe
from revisage.video.rehearsal import rehearse
from revisage.video.writing import CRF, Encoding, container_of, encoding_for, pixel_losses

BITS_PER_PIXEL = 0.05
"""Of a result at quality 18: what videos with little movement take, so that no video is refused that has room."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is decided before the first frame.

    Attributes:
        video: properties of the source.
        encoding: of the result.
        kept: what the result takes over besides the frames.
        left_out: a few words for each thing of the source that the result will lack.
        bytes: that the result and its parts will still need at least, while they are joined.
    """

    video: Properties
    encoding: Encoding
    kept: Kept
    left_out: tuple[str, ...]
    bytes: int


def plan_video(source: Path, target: Path, controls: Controls, *, crf: int = CRF, strict: bool = False) -> Plan:
    """Find out what can fail, and what will be left out, without restoring or writing anything.

    Raises:
        InputError: the source is no video; the controls do not suit videos.
        OutputError: the result cannot be written, or there is no room for it; with ``strict`` also: something would be
            left out.
    """
    if controls.aligned:
        raise InputError("a video is not one aligned face: restore it without `aligned`")
    container = container_of(target)
    video = probe(source)
    if target.exists() and target.samefile(source):
        raise InputError(f"{source} and the result are the same file")
    encoding = encoding_for(video, container, controls.scale, crf)
    kept, lost = rehearse(source, target, video, encoding)
    left_out = (*video.left_out, *pixel_losses(video, encoding), *lost)
    if strict and left_out:
        raise OutputError(f"{source}: {target.suffix[1:]} cannot hold all of it (--strict): {', '.join(left_out)}")
    parts = sum(part.stat().st_size for part in folder_beside(target).glob("*.nut"))  # of an interrupted run
    needed = max(bytes_needed(video, encoding, source.stat().st_size) - parts, 0)
    if needed > (free := free_bytes(target)):
        raise OutputError(f"cannot write {target}: about {_size(needed)} are needed there, {_size(free)} are free")
    return Plan(video, encoding, kept, left_out, needed)


def bytes_needed(video: Properties, encoding: Encoding, source_size: int) -> int:
    """A low estimate of what the parts and the result take together; 0 if the number of frames is not known."""
    pixels = encoding.width * encoding.height
    per_frame = pixels * BITS_PER_PIXEL / 8 * 2 ** ((CRF - encoding.crf) / 6)
    as_large = source_size * pixels / (video.width * video.height)  # a still image takes next to nothing
    return 2 * round(min(video.frames * per_frame, as_large))


def free_bytes(target: Path) -> int:
    """Free space where a file would be written; its folder may not be there yet."""
    folder = next(above for above in target.absolute().parents if above.exists())
    return shutil.disk_usage(folder).free


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
