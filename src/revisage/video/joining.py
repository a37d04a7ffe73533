"""Join the restored parts of a video, and copy everything else from the source."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from revisage.files import atomic_write
from revisage.video.reading import Properties, video_stream, writing
from revisage.video.writing import container_of

Timed: TypeAlias = "tuple[Fraction, Packet[Any]]"


def join(source: Path, parts: Sequence[Path], target: Path, video: Properties) -> list[str]:
    """Write the result: packets are copied, nothing is encoded again.

    Sound, subtitles, attachments, further videos and data come from the source, as far as the result's format can hold
    them, and so do chapters, metadata, languages and the angle by which players rotate the image.

    Args:
        source: the video.
        parts: its restored frames, encoded, in order; at least one.
        target: the result; replaced if it is there.
        video: properties of the source.

    Returns:
        a line for each stream that could not be copied.

    Raises:
        OutputError: the result cannot be written.
    """
    container = container_of(target)
    with (
        atomic_write(target) as temporary,
        writing(target),
        av.open(source) as original,
        av.open(parts[0]) as first,
        av.open(temporary, "w", format=container.name) as output,
    ):
        restored_stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
        own = video_stream(original)
        _describe(restored_stream, own)
        if video.rotation:
            restored_stream.set_display_rotation(video.rotation)
        copies, lost = _others(original, own, output)
        output.metadata.update(original.metadata)
        output.set_chapters(original.chapters())
        restored = _packets_of_parts(parts, restored_stream)
        # By time, so that the writer never has to hold much of one stream back for another.
        for _, packet in heapq.merge(restored, _packets_of_others(original, copies), key=lambda pair: pair[0]):
            output.mux_one(packet)
    return lost


def _describe(copy: Stream, stream: Stream) -> None:
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition


def _others(original: InputContainer, own: VideoStream, output: OutputContainer) -> tuple[dict[int, Stream], list[str]]:
    """Add a stream to the result for each other one of the source -> by its index; and which cannot be had."""
    copies: dict[int, Stream] = {}
    lost: list[str] = []
    for stream in original.streams:
        if stream.index == own.index:
            continue
        try:
            copy = output.add_stream_from_template(stream, opaque=True)
        except (ValueError, FFmpegError):
            name = f"stream {stream.index} ({stream.type}) of {original.name}"
            lost.append(f"{name} is not copied: {output.format.name} cannot hold it")
            continue
        _describe(copy, stream)
        copies[stream.index] = copy
    return copies, lost


def _packets_of_parts(parts: Sequence[Path], stream: Stream) -> Iterator[Timed]:
    for part in parts:
        with av.open(part) as container:
            yield from _timed(container.demux(container.streams.video[0]), stream)


def _packets_of_others(original: InputContainer, copies: dict[int, Stream]) -> Iterator[Timed]:
    if not copies:
        return
    packets = original.demux([original.streams[index] for index in copies])
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:  # a damaged end; its frames were counted when they were read
            return
        if packet is None:
            return
        yield from _timed([packet], copies[packet.stream.index])


def _timed(packets: Iterable[Packet[Any]], stream: Stream) -> Iterator[Timed]:
    """Packets with their times in seconds, on their way into ``stream``; empty ones only say that a stream ends."""
    for packet in packets:
        ticks = packet.dts if packet.dts is not None else packet.pts  # Matroska leaves the first ones out
        if packet.size and ticks is not None:
            seconds = ticks * packet.time_base
            packet.stream = stream
            yield seconds, packet
