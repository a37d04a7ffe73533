"""Decide how a video is restored, and find out what can fail, before its first frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from revisage.errors import InputError, OutputError
from revisage.files import describe_size, free_bytes
from revisage.jobs.store import folder_beside
from revisage.restore.controls import Controls
from revisage.video.joining import Kept
from revisage.video.reading import HDR10, Properties, probe, read_header
from revisage.video.rehearsal import rehearse
from revisage.video.writing import CRF, Encoding, container_of, encoding_for, pixel_losses

BITS_PER_PIXEL = 0.05
"""Of a result at quality 18: what videos with little movement take, so that no video is refused that has room."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions made before the first frame.

    Attributes:
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
    if controls.repair:
        raise InputError("scratches and dust are filled in photos only: restore videos without `repair`")
    container = container_of(target)
    video = probe(source)
    if target.exists() and target.samefile(source):
        raise InputError(f"{source} and the result are the same file")
    encoding = encoding_for(video, container, controls.scale, crf)
    kept, lost = rehearse(source, target, video, encoding)
    left_out = (*without_kept(video.left_out, encoding), *pixel_losses(video, encoding), *lost)
    if strict and left_out:
        raise OutputError(f"{source}: {target.suffix[1:]} cannot hold all of it (--strict): {', '.join(left_out)}")
    parts = sum(part.stat().st_size for part in folder_beside(target).glob("*.nut"))  # of an interrupted run
    needed = max(bytes_needed(video, encoding, source.stat().st_size) - parts, 0)
    if needed > (free := free_bytes(target)):
        raise OutputError(
            f"cannot write {target}: about {describe_size(needed)} are needed there, {describe_size(free)} are free"
        )
    return Plan(video, encoding, kept, left_out, needed)


def without_kept(side_data: Iterable[str], encoding: Encoding) -> Iterator[str]:
    """Side data of frames, without what the encoding keeps."""
    return (one for one in side_data if not (one == HDR10 and encoding.hdr10))


def bytes_needed(video: Properties, encoding: Encoding, source_size: int) -> int:
    """A low estimate of what the parts and the result take together; 0 if the number of frames is not known."""
    scale = encoding.width * encoding.height / (video.width * video.height)
    return 2 * _result_bytes(video.width * video.height, scale, video.frames, source_size, encoding.crf)


def estimate_bytes(source: Path, scale: float) -> int:
    """A low estimate of what the result of a video takes, without decoding a frame; 0 for what is no video."""
    try:
        stream = read_header(source)
    except InputError:
        return 0
    return _result_bytes(stream.width * stream.height, scale**2, stream.frames, source.stat().st_size, CRF)


def _result_bytes(pixels: int, scale: float, frames: int, source_size: int, crf: int) -> int:
    """Bytes of a result with ``scale`` times the pixels; a still image takes next to nothing."""
    per_frame = pixels * scale * BITS_PER_PIXEL / 8 * 2 ** ((CRF - crf) / 6)
    return round(min(frames * per_frame, source_size * scale))
