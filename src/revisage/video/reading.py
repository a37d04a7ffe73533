"""Read a video as a stream of frames."""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from revisage.errors import InputError, OutputError
from revisage.files import describe_write_error, safe_open
from revisage.types import Image
from revisage.video.pixels import (
    Colors,
    Orientation,
    colors_of,
    depth_of,
    has_alpha,
    hdr10_of,
    image_of,
    orientation_of,
)

_READING = {
    errno.ENOENT: "no such file",
    errno.EACCES: "no permission to read it",
    errno.EISDIR: "a folder, not a video",
}
HDR10 = "HDR10 mastering data"
_SIDE_DATA = {
    "MASTERING_DISPLAY_METADATA": HDR10,
    "CONTENT_LIGHT_LEVEL": HDR10,
    "AMBIENT_VIEWING_ENVIRONMENT": "HDR viewing environment",
    "DYNAMIC_HDR_PLUS": "HDR10+ data",
    "DYNAMIC_HDR_VIVID": "HDR Vivid data",
    "DOVI_RPU_BUFFER": "Dolby Vision data",
    "DOVI_METADATA": "Dolby Vision data",
    "A53_CC": "closed captions",
    "SPHERICAL": "the mark of a 360-degree video",
    "STEREO3D": "the mark of a stereoscopic video",
    "S12M_TIMECODE": "time codes of frames",
    "ICC_PROFILE": "color profile",
}
"""FFmpeg's name of what comes along with a frame and is not encoded again -> ours."""


@dataclass(frozen=True, slots=True)
class Properties:
    """Properties of a video, known before its frames are read.

    Attributes:
        width: of the frames as they are coded.
        height: of the frames as they are coded.
        orientation: how players turn and mirror them.
        time_base: seconds of a tick.
        rate: mean frames a second.
        frames: their number according to the file, or estimated from its length; 0 if unknown.
        pixel_format: FFmpeg's name for their layout.
        depth: bits a channel.
        colors: meaning of the samples.
        aspect: width over height of a pixel.
        hdr10: HDR10 mastering data, see ``pixels.hdr10_of``.
        left_out: what its first frame carries and no result holds, a few words each.
    """

    width: int
    height: int
    orientation: Orientation
    time_base: Fraction
    rate: Fraction
    frames: int
    pixel_format: str
    depth: int
    colors: Colors
    aspect: Fraction
    hdr10: str
    left_out: tuple[str, ...]


class Header(NamedTuple):
    """Size of the coded frames in pixels, and their number; 0 if unknown."""

    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        index: from 0.
        ticks: when it is shown, in units of the video's time base; strictly increasing.
        seconds: the same in seconds.
        decoded: as it came from the decoder.
        coded: (height, width, 3) RGB image of it.
        image: the same, upright.
    """

    index: int
    ticks: int
    seconds: float
    decoded: VideoFrame
    coded: Image
    image: Image


@dataclass(slots=True)
class Damage:
    """Parts of a video that could not be read, counted as it is read; and what frames carry besides colors."""

    packets: int = 0
    cut_short: bool = False
    side_data: dict[str, None] = field(default_factory=dict[str, None])


def open_video(path: Path, options: Mapping[str, str] | None = None) -> InputContainer:
    """Open a video for reading. Metadata may be in any encoding: bytes that are no text come as surrogates.

    FFmpegError, OSError: it is not there, or no video.
    """
    safe_open(path).close()  # FFmpeg would wait for a pipe
    return av.open(path, "r", options=dict(options or {}), metadata_errors="surrogateescape")


def video_stream(container: InputContainer) -> VideoStream:
    """The first video stream that is not a cover (InputError: there is none)."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InputError(f"cannot read {container.name}: it holds no video")


def probe(path: Path) -> Properties:
    """Read the properties of a video, and decode its first frame.

    InputError: it is not there, is no video, or none of its frames can be decoded.
    """
    with reading(path), open_video(path) as container:
        stream = video_stream(container)
        first = next((frame for frame in _decoded(container, stream, Damage())), None)
        if first is None or stream.time_base is None:
            raise InputError(f"cannot read {path}: none of its frames can be decoded")
        context, rate = stream.codec_context, stream.average_rate or stream.guessed_rate or Fraction(25)
        return Properties(
            width=first.width,
            height=first.height,
            orientation=orientation_of(first),
            time_base=stream.time_base,
            rate=rate,
            frames=stream.frames or _estimated(container, stream, rate),
            pixel_format=first.format.name,
            depth=depth_of(first.format),
            colors=colors_of(first),
            aspect=stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1),
            hdr10=hdr10_of(first),
            left_out=tuple(_left_out(first, stream)),
        )


def read_header(path: Path) -> Header:
    """Read what a video says of itself, without decoding (InputError: it is not there, or is no video)."""
    with reading(path), open_video(path) as container:
        stream = video_stream(container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        return Header(stream.width, stream.height, stream.frames or _estimated(container, stream, rate))


def _left_out(frame: VideoFrame, stream: VideoStream) -> Iterator[str]:
    """Properties of a frame besides its colors. Some decoders drop the alpha channel that the stream speaks of."""
    if has_alpha(frame.format) or stream.metadata.get("alpha_mode") == "1":
        yield "transparency"
    if frame.interlaced_frame:
        yield "the mark of interlaced frames"
    yield from _side_data(frame)


def _side_data(frame: VideoFrame) -> dict[str, None]:
    """Side data of a frame that is not encoded again, a few words each."""
    found: Any = frame.side_data
    return dict.fromkeys(_SIDE_DATA[one.type.name] for one in found if one.type.name in _SIDE_DATA)


def _estimated(container: InputContainer, stream: VideoStream, rate: Fraction) -> int:
    if stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * rate)
    return round(container.duration / 1_000_000 * rate) if container.duration else 0


def frames(path: Path, properties: Properties, damage: Damage, start: int = 0) -> Iterator[Frame]:
    """Yield the frames of a video, one at a time (InputError: the file cannot be opened any more).

    Frames that cannot be decoded are left out and counted. Those before ``start`` are decoded as well, but not
    converted: seeking does not find the same frame in every file.
    """
    step = max(round(1 / (properties.rate * properties.time_base)), 1)
    last: int | None = None
    with reading(path), open_video(path) as container:
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        for index, decoded in enumerate(_decoded(container, stream, damage)):
            last = ticks = _time_of(decoded, last, step)
            if index < start:
                continue
            coded = image_of(decoded, properties.colors, (properties.width, properties.height))
            image = properties.orientation.upright(coded)
            yield Frame(index, ticks, float(ticks * properties.time_base), decoded, coded, image)


def _time_of(frame: VideoFrame, last: int | None, step: int) -> int:
    """Ticks of a frame. Some files give none, damaged ones may go back: time goes on all the same."""
    if frame.pts is None:
        return 0 if last is None else last + step
    return frame.pts if last is None else max(frame.pts, last + 1)


def _decoded(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            damage.cut_short = True
            return
        if packet is None:
            return
        try:
            decoded = packet.decode()
        except FFmpegError:
            damage.packets += 1
            continue
        for frame in decoded:
            damage.side_data |= _side_data(frame)
            yield frame


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn errors of reading into one line that names the source.

    InputError: it is not there, may not be read, or is no video that FFmpeg can decode.
    """
    try:
        yield
    except (FFmpegError, OSError) as error:
        known = _READING.get(error.errno or 0, "not a video, or truncated or damaged")
        raise InputError(f"cannot read {path}: {known}") from error


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn errors of writing into one line that names the result.

    OutputError: the disk is full, there is no permission, or FFmpeg refuses.
    """
    try:
        yield
    except (FFmpegError, OSError) as error:
        why = describe_write_error(error.errno, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {why}") from error
