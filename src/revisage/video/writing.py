"""Encode a part of a video."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.codec import Codec, codecs_available
from av.container import OutputContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from revisage.errors import OutputError
from revisage.files import atomic_write
from revisage.video.pixels import Colors, chroma_of, depth_of
from revisage.video.reading import Properties, writing

CRF = 18
"""Quality, as x264 counts it: 0 is lossless, 18 visually lossless, 51 the worst."""


@dataclass(frozen=True, slots=True)
class Container:
    """A video format that can be written.

    Attributes:
        name: name in FFmpeg.
        encoders: for 8 bits a channel, best first; the first that the build of FFmpeg has is taken.
        high_depth_encoders: for more bits a channel, best first.
        sound_encoders: for sound that cannot be copied, best first.
        deep_sound_encoders: for sound of more than 16 bits.
    """

    name: str
    encoders: tuple[str, ...] = ("libx264", "libopenh264", "mpeg4")
    high_depth_encoders: tuple[str, ...] = ("libx265",)
    sound_encoders: tuple[str, ...] = ("flac", "pcm_s16le")
    deep_sound_encoders: tuple[str, ...] = ("flac", "pcm_s24le")

    @property
    def is_quicktime(self) -> bool:
        """Whether it is one of the family of MP4 and QuickTime."""
        return self.name in ("mp4", "mov")


WRITABLE: Mapping[str, Container] = {
    ".mp4": Container("mp4"),
    ".m4v": Container("mp4"),
    ".mov": Container("mov"),
    ".mkv": Container("matroska"),
    ".webm": Container("webm", ("libvpx-vp9",), ("libvpx-vp9", "libsvtav1"), ("libopus",), ("libopus",)),
}
"""File extension in lower case -> format."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the frames of a result are encoded.

    Attributes:
        codec: FFmpeg's name of the encoder.
        pixel_format: layout of the samples; of the depth and chroma of the source where an encoder takes it.
        width: even.
        height: even.
        time_base: seconds of a tick.
        rate: mean frames a second.
        aspect: width over height of a pixel.
        hdr10: HDR10 mastering data, where the encoder writes them, see ``pixels.hdr10_of``.
    """

    codec: str
    pixel_format: str
    width: int
    height: int
    crf: int
    time_base: Fraction
    rate: Fraction
    colors: Colors
    aspect: Fraction
    hdr10: str = ""


def container_of(path: Path) -> Container:
    """The format that the extension of ``path`` asks for.

    OutputError: the extension is not that of a format that can be written.
    """
    container = WRITABLE.get(path.suffix.lower())
    if container is None:
        known = ", ".join(extension[1:] for extension in WRITABLE)
        raise OutputError(f"cannot write {path}: not one of the video formats {known}")
    return container


def encoding_for(video: Properties, container: Container, scale: float, crf: int) -> Encoding:
    """Choose encoder and pixel format for the result of a video: those that lose least of its depth and chroma.

    OutputError: this build of FFmpeg has none for the container.
    """
    names = (container.encoders, container.high_depth_encoders)
    wanted = [name for group in (reversed(names) if video.depth > 8 else names) for name in group]
    there = [name for name in dict.fromkeys(wanted) if name in codecs_available]
    if not there:
        raise OutputError(f"this build of FFmpeg has no encoder for {container.name}: {' or '.join(wanted)} is needed")
    own = VideoFormat(video.pixel_format.replace("yuvj", "yuv"))
    choices = [(codec, layout) for codec in there for layout in _layouts(codec)]
    codec, layout = min(choices, key=lambda choice: (*_losses(own, choice[1]), there.index(choice[0])))
    return Encoding(
        codec,
        layout.name,
        _even(video.width, scale),
        _even(video.height, scale),
        crf,
        video.time_base,
        video.rate,
        video.colors,
        video.aspect,
        video.hdr10 if codec == "libx265" else "",
    )


def _layouts(codec: str) -> list[VideoFormat]:
    """The planar layouts of Y'CbCr without alpha that an encoder takes."""
    named = [one.name for one in Codec(codec, "w").video_formats or []]
    planar = [VideoFormat(name) for name in named if name.startswith("yuv4")]
    return planar or [VideoFormat("yuv420p")]


def _losses(own: VideoFormat, layout: VideoFormat) -> tuple[int, int, int, int]:
    """How ill a layout suits: bits and chroma directions that are lost, then those that are there for nothing."""
    columns, rows = chroma_of(layout)
    own_columns, own_rows = chroma_of(own)
    lost_bits = max(depth_of(own) - depth_of(layout), 0)
    return lost_bits, (columns < own_columns) + (rows < own_rows), depth_of(layout), columns * rows


def pixel_losses(video: Properties, encoding: Encoding) -> Iterator[str]:
    """Properties of a video's pixels that the encoding loses, a few words each."""
    own, layout = VideoFormat(video.pixel_format), VideoFormat(encoding.pixel_format)
    bits, chroma, *_ = _losses(own, layout)
    if bits:
        yield f"{bits} of {video.depth} bits a channel"
    if chroma:
        yield f"color resolution ({video.pixel_format} becomes {encoding.pixel_format})"


def _even(size: int, scale: float) -> int:
    scaled = max(round(size * scale), 1)
    return scaled + scaled % 2


@contextmanager
def segment(path: Path, encoding: Encoding) -> Generator[Writer]:
    """Write a part of a video, as NUT, which stores times exactly; whole or not at all.

    OutputError: it cannot be written, or the encoder refuses.
    """
    with atomic_write(path) as temporary, writing(path), av.open(temporary, "w", format="nut") as output:
        writer = Writer(output, encoding)
        yield writer
        writer.finish()


class Writer:
    """Encodes frames into an open container."""

    def __init__(self, output: OutputContainer, encoding: Encoding) -> None:
        stream = output.add_stream(encoding.codec, rate=encoding.rate, options=_options(encoding))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, encoding.pixel_format
        context = stream.codec_context
        context.time_base = stream.time_base = encoding.time_base
        context.sample_aspect_ratio = encoding.aspect
        context.colorspace, context.color_range = encoding.colors.matrix, encoding.colors.range
        context.color_primaries, context.color_trc = encoding.colors.primaries, encoding.colors.transfer
        self._output, self._stream, self._time_base = output, stream, encoding.time_base

    def write(self, frame: VideoFrame, ticks: int) -> None:
        """Append a frame, shown from ``ticks`` on."""
        frame.pts, frame.time_base = ticks, self._time_base
        frame.pict_type = 0  # the frame type of the source is no order to this encoder
        self._output.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the frames that the encoder still holds."""
        self._output.mux(self._stream.encode(None))


def _options(encoding: Encoding) -> dict[str, str]:
    """Settings of each encoder.

    No frames refer to later ones (B-frames): so parts can be joined, however irregular the times are.
    """
    crf = encoding.crf
    match encoding.codec:
        case "libx264":
            # Without the first parameter now and then a few bits depend on where in memory the frames lie; without
            # the second the stream announces as many frames a second as its time base has ticks. Times stay exact.
            return {"crf": str(crf), "bf": "0", "x264-params": "cpu-independent=1:force-cfr=1"}
        case "libx265":
            params = "log-level=error:bframes=0"
            return {"crf": str(crf), "x265-params": f"{params}:{encoding.hdr10}" if encoding.hdr10 else params}
        case "libvpx-vp9":
            # Its scale goes to 63. Without these two a frame is held back until 25 more are there.
            return {"crf": str(round(crf * 63 / 51)), "b": "0", "cpu-used": "3", "row-mt": "1", "lag-in-frames": "0"}
        case "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only
            return {"crf": str(round(crf * 63 / 51)), "preset": "8", "svtav1-params": "pred-struct=1"}
        case _:  # mpeg4: quantizer 1..31
            return {"flags": "+qscale", "global_quality": str(118 * max(round(crf * 31 / 51 / 3), 1)), "bf": "0"}
