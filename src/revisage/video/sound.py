"""Encode sound anew where a format cannot hold it as it is: that of DVDs, Blu-rays and old cameras, without loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Number of channels -> where they are, if a file does not say."""


def layout_of(stream: AudioStream) -> str:
    """Where the channels of a stream are."""
    layout = stream.codec_context.layout.name
    return LAYOUTS.get(stream.codec_context.channels, layout) if layout.endswith("channels") else layout


def is_deep(stream: AudioStream) -> bool:
    """Whether its samples have more than 16 bits."""
    return stream.codec_context.format.bytes > 2


class SoundEncoder:
    """Decodes the packets of a stream and encodes them for a result.

    Attributes:
        copy: the stream of the result.
    """

    def __init__(self, stream: AudioStream, output: OutputContainer, codec: str) -> None:
        """Add a stream to ``output``; ValueError: its format does not take this codec."""
        rate = 48000 if codec == "libopus" else stream.codec_context.sample_rate
        added = output.add_stream(codec, rate=rate)
        assert isinstance(added, AudioStream)
        added.codec_context.layout = layout_of(stream)
        added.codec_context.format = "s32" if is_deep(stream) and codec != "libopus" else "s16"
        self.copy = added
        self._resampler: AudioResampler | None = None

    def packets(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """The packets made of a packet; an empty one ends the stream. Undecodable ones are left out."""
        frames: list[AudioFrame | None]
        try:
            frames = [*packet.decode()]
        except FFmpegError:
            frames = []
        for frame in frames if packet.size else [*frames, None]:
            for piece in self._resampled(frame):
                yield from self.copy.encode(piece)
        if not packet.size:
            yield from self.copy.encode(None)

    def _resampled(self, frame: AudioFrame | None) -> list[AudioFrame]:
        if self._resampler is None:
            if frame is None:
                return []
            context = self.copy.codec_context  # open by now: the size of its frames is known
            size = context.frame_size or None
            self._resampler = AudioResampler(context.format, context.layout, context.sample_rate, size)
        return self._resampler.resample(frame)
