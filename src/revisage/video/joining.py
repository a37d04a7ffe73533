"""Join the restored parts of a video, and copy everything else from the source."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from revisage.files import atomic_write
from revisage.video.reading import Properties, open_video, video_stream, writing
from revisage.video.sound import SoundEncoder, layout_of
from revisage.video.writing import Container, container_of

Timed: TypeAlias = "tuple[Fraction, int, Packet[Any]]"
"""When a packet is needed, in seconds; the index of its stream in the source; the packet."""
_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
QUICKTIME_LANGUAGES = {
    **{"deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb", "mkd": "mac"},
    **{"fre": "fra", "cze": "ces", "rum": "ron", "slo": "slk"},
}
"""Codes of ISO 639-2 -> the other ones of the same languages, which FFmpeg has numbers of QuickTime for."""
_STATISTICS = ("bps", "number_of_", "_statistics_")


@dataclass(frozen=True, slots=True)
class Kept:
    """The parts that a result takes over from its source besides the frames.

    Attributes:
        streams: indices of the streams that are copied.
        chapters: whether the chapters are.
        timecode: whether the time code of the first frame is, in formats that make a track of it.
        options: of FFmpeg's muxer.
        sound: index -> encoder, of sound that cannot be copied.
    """

    streams: frozenset[int] = frozenset()
    chapters: bool = False
    timecode: bool = False
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    sound: Mapping[int, str] = field(default_factory=dict[int, str])


@dataclass(frozen=True, slots=True)
class Copied:
    """Packets of the other streams, by the index of their stream in the source.

    Attributes:
        written: number of those that were written.
        refused: number of those that the format did not take.
    """

    written: Counter[int] = field(default_factory=Counter[int])
    refused: Counter[int] = field(default_factory=Counter[int])


def join(source: Path, parts: Sequence[Path], target: Path, video: Properties, kept: Kept) -> list[str]:
    """Write the result of encoded ``parts``, at least one: packets are copied, nothing is encoded again.

    Returns a line for each stream of which packets could not be copied (OutputError: the result cannot be written).
    """
    with atomic_write(target) as temporary, writing(target):
        copied = mux(source, parts, temporary, container_of(target), video, kept)
    return [f"{source}: {number} packets of stream {one} were left out" for one, number in copied.refused.items()]


def mux(
    source: Path,
    parts: Sequence[Path | bytes],
    result: Path | BytesIO,
    container: Container,
    video: Properties,
    kept: Kept,
    packets: int | None = None,
) -> Copied:
    """Write parts and what is kept of a source into a file, or into memory; ``packets``: at most so many of the source.

    FFmpegError, ValueError: the format cannot hold this.
    """
    pictures = {} if container.is_quicktime else pictures_of(source, kept.streams)
    options, copied = dict(kept.options), Copied()
    with (
        open_video(source) as original,
        av.open(
            result, "w", format=container.name, container_options=options, metadata_errors="surrogateescape"
        ) as output,
    ):
        with _opened(parts[0]) as first:
            restored = output.add_stream_from_template(first.streams.video[0], opaque=True)
        own = video_stream(original)
        _describe(restored, own, kept)
        context, colors = restored.codec_context, video.colors
        context.framerate, context.sample_aspect_ratio = video.rate, video.aspect
        # VP9 says nothing of primaries and transfer: the container does.
        context.colorspace, context.color_range = colors.matrix, colors.range
        context.color_primaries, context.color_trc = colors.primaries, colors.transfer
        if video.orientation.matrix:
            restored.set_display_matrix(video.orientation.matrix)
        copies, sound = _add_copies(original, output, kept, pictures)
        copied.written.update(dict.fromkeys(pictures, 1))
        output.metadata.update(kept_metadata(original.metadata, kept))
        if kept.chapters:
            output.set_chapters(original.chapters())
        others = islice(_packets_of_others(original, copies, sound, container), packets)
        # By time, so that the writer never has to hold much of one stream back for another.
        frames = _packets_of_parts(parts, restored, own, video.rate)
        streams = heapq.merge(frames, others, key=lambda timed: timed[0])
        output.start_encoding()
        start = _start_of(original)
        for _, index, packet in streams:
            ticks = round(start / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
            try:
                output.mux_one(packet)
            except (ArgumentError, InvalidDataError):
                if index == own.index:
                    raise
                copied.refused[index] += 1
            else:
                copied.written[index] += 1
        del copied.written[own.index]
    return copied


def _start_of(container: InputContainer) -> Fraction:
    """When the clock of a transport or program stream, which began long before, starts; 0 for files."""
    if container.format.name not in ("mpegts", "mpeg"):
        return Fraction(0)
    starts = [(one.start_time, one.time_base) for one in container.streams]
    return min((start * base for start, base in starts if start is not None and base is not None), default=Fraction(0))


def pictures_of(source: Path, wanted: Iterable[int]) -> dict[int, tuple[str, str, bytes]]:
    """Name, media type and bytes of the attached pictures of a video, such as its cover, by index of the stream."""
    pictures: dict[int, tuple[str, str, bytes]] = {}
    with open_video(source) as original:
        streams = [one for one in original.streams if one.index in wanted and is_picture(one)]
        # They come before all other packets.
        for packet in islice(original.demux(streams), len(streams)) if streams else ():
            stream = packet.stream
            kind = "jpeg" if stream.name == "mjpeg" else str(stream.name)
            name = stream.metadata.get("filename") or f"cover.{'jpg' if kind == 'jpeg' else kind}"
            media_type = stream.metadata.get("mimetype") or f"image/{kind}"
            pictures[stream.index] = name, media_type, bytes(packet)
    return pictures


def is_picture(stream: Stream) -> bool:
    """Whether a stream is a single attached picture."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def kept_metadata(metadata: Mapping[str, str], kept: Kept | None = None) -> dict[str, str]:
    """The metadata that outlive a new encoding; without the time code if ``kept`` says so."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OF_THE_FILE
        and not key.lower().startswith(_STATISTICS)
        and (kept is None or kept.timecode or key.lower() != "timecode")
    }


def titled(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a stream; FFmpeg reads its title in MP4 as a name, and writes it as a title."""
    return {"title" if key == "name" and "title" not in metadata else key: one for key, one in metadata.items()}


def _describe(copy: Stream, stream: Stream, kept: Kept) -> None:
    metadata = kept_metadata(titled(stream.metadata), kept)
    if copy.container.format.name == "mov" and "language" in metadata:
        metadata["language"] = QUICKTIME_LANGUAGES.get(metadata["language"], metadata["language"])
    copy.metadata.update(metadata)
    copy.disposition = stream.disposition


def _add_copies(
    original: InputContainer, output: OutputContainer, kept: Kept, pictures: Mapping[int, tuple[str, str, bytes]]
) -> tuple[dict[int, Stream], dict[int, SoundEncoder]]:
    """Add a stream to the result for each that is kept -> copies and encoders by index in the source."""
    copies: dict[int, Stream] = {}
    sound: dict[int, SoundEncoder] = {}
    for stream in original.streams:
        if stream.index in pictures:
            output.add_attachment(*pictures[stream.index])
        elif stream.index in kept.streams:
            copy = copies[stream.index] = output.add_stream_from_template(stream, opaque=True)
            _describe(copy, stream, kept)
            if isinstance(copy, AudioStream):  # AVI does not say where the channels are, and MP4 wants to know
                copy.codec_context.layout = layout_of(copy)
            if isinstance(copy, VideoStream) and isinstance(stream, VideoStream) and stream.average_rate:
                copy.codec_context.framerate = stream.average_rate
                copy.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio or Fraction(1)
        elif stream.index in kept.sound and isinstance(stream, AudioStream):
            sound[stream.index] = SoundEncoder(stream, output, kept.sound[stream.index])
            _describe(sound[stream.index].copy, stream, kept)
    return copies, sound


def _opened(part: Path | bytes) -> InputContainer:
    return av.open(BytesIO(part) if isinstance(part, bytes) else part, "r")


def _packets_of_parts(
    parts: Sequence[Path | bytes], stream: VideoStream, own: VideoStream, rate: Fraction
) -> Iterator[Timed]:
    """Packets of the restored frames. Of the last one the format asks how long it lasts: parts do not say."""
    timed: Timed | None = None
    first: Fraction | None = None
    frames = 0
    for part in parts:
        with _opened(part) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size and packet.dts is not None:
                    if timed:
                        yield timed
                    seconds = packet.dts * packet.time_base
                    frames, first = frames + 1, seconds if first is None else first
                    timed = seconds, own.index, packet
                    packet.stream = stream
    if timed and first is not None:
        seconds, _, packet = timed
        end = first + frames / rate
        is_exact = "mp4" in own.container.format.name  # others say how long the file is, or count empty frames
        if is_exact and own.duration is not None and own.time_base is not None and frames >= own.frames:
            end = ((own.start_time or 0) + own.duration) * own.time_base
        packet.duration = max(round((end - seconds) / packet.time_base), 0)
        yield timed


def _packets_of_others(
    original: InputContainer, copies: Mapping[int, Stream], sound: Mapping[int, SoundEncoder], container: Container
) -> Iterator[Timed]:
    """Packets on their way into ``copies``; their decoding times never go back, as no format takes that."""
    wanted = [original.streams[index] for index in (*copies, *sound)]
    packets = original.demux(wanted) if wanted else iter(())
    last: dict[int, int] = {}
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:  # a damaged end; its frames were counted when they were read
            return
        if packet is None:
            return
        index = packet.stream.index
        if index in sound:
            for encoded in sound[index].packets(packet):
                yield (encoded.dts or 0) * encoded.time_base, index, encoded
            continue
        if not packet.size:  # only says that a stream ends
            continue
        if packet.dts is None and packet.pts is None:  # of pictures, and of damaged files
            packet.pts = packet.dts = last.get(index, -1) + 1
        elif packet.dts is not None and index in last:
            rising = container.is_quicktime and packet.stream.type in ("audio", "video")
            packet.dts = max(packet.dts, last[index] + rising)
            packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        ticks = packet.dts if packet.dts is not None else packet.pts  # Matroska leaves the first ones out
        assert ticks is not None
        last[index] = ticks
        seconds = ticks * packet.time_base
        packet.stream = copies[index]
        yield seconds, index, packet
