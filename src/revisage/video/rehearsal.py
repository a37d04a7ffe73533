"""Find out what the result of a video can hold, before its first frame is restored.

A small result is written into memory: one gray frame, the first packets of every other stream, chapters and metadata.
Then it is read again. Streams that cannot be written, or are not found again, are left out and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Stream

from revisage.errors import OutputError
from revisage.types import Array
from revisage.video.joining import QUICKTIME_LANGUAGES, Copied, Kept, is_picture, kept_metadata, mux, titled
from revisage.video.pixels import frame_of
from revisage.video.reading import Properties, open_video, reading, video_stream
from revisage.video.sound import is_deep
from revisage.video.writing import Container, Encoding, Writer, container_of

PACKETS = 500
"""Number of packets of the source that a trial writes."""
EVERYTHING = {"export_all": "1", "export_xmp": "1"}
"""Options of FFmpeg's reader of MP4: it lists what cameras write in atoms of their own, which no result holds."""
_WRITTEN_ANEW = {"handler_name", "vendor_id", "filename", "mimetype", "timecode", "alpha_mode"}
"""Metadata that formats write in ways of their own, or whose loss other words tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The parts of a file besides the frames of its video.

    Attributes:
        streams: index -> type and codec of the other streams.
        names: index -> words for the stream.
        metadata: (type of the stream, or "" for the file; key).
        chapters: their number.
        timecode: of the first frame, "" if there is none.
        deep_sound: indices of the sound of more than 16 bits.
        aspect: width over height of a pixel, as the file or its codec says.
        is_quicktime: whether it is of the family of MP4 and QuickTime.
    """

    streams: Mapping[int, tuple[str, str]]
    names: Mapping[int, str]
    metadata: frozenset[tuple[str, str]]
    chapters: int
    timecode: str
    deep_sound: frozenset[int]
    aspect: Fraction
    is_quicktime: bool


def rehearse(source: Path, target: Path, video: Properties, encoding: Encoding) -> tuple[Kept, tuple[str, ...]]:
    """Decide what a result takes over from its source besides the frames, and name each thing that it cannot hold.

    InputError: the source cannot be read. OutputError: the encoder or the format refuses the frames.
    """
    container = container_of(target)
    try:
        part = _gray_frame(encoding)
    except FFmpegError as error:
        size = f"{encoding.width} x {encoding.height} pixels of {encoding.pixel_format}"
        raise OutputError(f"cannot write {target}: {encoding.codec} refuses {size}: {error.strerror}") from error
    with reading(source), open_video(source, EVERYTHING) as original:
        there = contents_of(original)
    trial = Trial(source, there, container, video, part)
    choices = [trial.most({})]
    if container.is_quicktime and choices[0] and choices[0][1]:
        # So all keys are kept, but only as keys: titles move elsewhere, and covers vanish.
        choices.append(trial.most({"movflags": "use_metadata_tags"}))
    possible = [choice for choice in choices if choice]
    if not possible:
        raise OutputError(f"cannot write {target}: {container.name} cannot hold {encoding.codec}")
    return min(possible, key=lambda choice: (-len(choice[0].streams), sum(map(len, choice[1]))))


def _gray_frame(encoding: Encoding) -> bytes:
    """One encoded frame."""
    memory = BytesIO()
    gray: Array = np.full((encoding.height, encoding.width, 3), 128, np.uint8)
    with av.open(memory, "w", format="nut") as output:
        writer = Writer(output, encoding)
        writer.write(frame_of(gray, encoding.colors, encoding.pixel_format), 0)
        writer.finish()
    return memory.getvalue()


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Small results in memory.

    Attributes:
        part: one encoded frame.
    """

    source: Path
    there: Contents
    container: Container
    video: Properties
    part: bytes

    def most(self, options: Mapping[str, str]) -> tuple[Kept, tuple[str, ...]] | None:
        """The most that a result holds with these options, and words for the rest; None if not even the frames."""
        there = self.there
        everything = Kept(
            frozenset(filter(self._can_be_copied, there.streams)), there.chapters > 0, bool(there.timecode), options
        )
        kept = everything if self.write(everything) else self._one_by_one(everything)
        result = self.write(kept) if kept else None
        if not kept or not result:
            return None
        held, copied = result
        kept = replace(
            kept,
            streams=kept.streams - _vanished(there, held, copied),
            timecode=kept.timecode and bool(held.timecode),
        )
        kept = self._with_sound(kept)
        if kept.sound and (result := self.write(kept)):
            held = result[0]
        return kept, tuple(_losses(there, held, kept))

    def _with_sound(self, kept: Kept) -> Kept:
        """Add what must be encoded anew: sound that was not found in the result."""
        for index, (kind, codec) in self.there.streams.items():
            if kind != "audio" or not codec or index in kept.streams:
                continue
            deep = index in self.there.deep_sound
            for encoder in self.container.deep_sound_encoders if deep else self.container.sound_encoders:
                more = replace(kept, sound={**kept.sound, index: encoder})
                if (result := self.write(more)) and result[1].written[index]:
                    kept = more
                    break
        return kept

    def _can_be_copied(self, index: int) -> bool:
        """FFmpeg writes data without a codec of its own under a wrong name, if at all."""
        kind, codec = self.there.streams[index]
        return kind != "data" or (bool(codec) and self.there.is_quicktime and self.container.is_quicktime)

    def _one_by_one(self, everything: Kept) -> Kept | None:
        """As much as can be written, found by adding one thing after the other."""
        kept = Kept(options=everything.options)
        if not self.write(kept):
            return None
        kept = self._if_possible(replace(kept, chapters=everything.chapters), kept)
        kept = self._if_possible(replace(kept, timecode=everything.timecode), kept)
        for index in sorted(everything.streams):
            kept = self._if_possible(replace(kept, streams=kept.streams | {index}), kept)
        return kept

    def _if_possible(self, more: Kept, kept: Kept) -> Kept:
        return more if self.write(more) else kept

    def write(self, kept: Kept) -> tuple[Contents, Copied] | None:
        """The streams that a result holds, and how many packets were copied into it; None if it cannot be written."""
        result = BytesIO()
        try:
            copied = mux(self.source, [self.part], result, self.container, self.video, kept, PACKETS)
            result.seek(0)
            with av.open(result, "r", metadata_errors="surrogateescape") as found:
                return contents_of(found), copied
        except (FFmpegError, ValueError):
            return None


def contents_of(container: InputContainer) -> Contents:
    """The parts of a file besides the frames of its video.

    Neither a track of chapter titles nor that of the video's time code counts as a stream: formats make them anew.
    """
    own = video_stream(container)
    timecodes = [_value(metadata, "timecode") for metadata in (own.metadata, container.metadata)]
    timecode = next(filter(None, timecodes), "")
    others = [
        one
        for one in container.streams
        if one.index != own.index
        and not (one.type == "data" and one.discard == Discard.all)
        and not (one.type == "data" and timecode and _value(one.metadata, "timecode") == timecode)
    ]
    metadata = {("", key) for key in _keys(container.metadata)}
    for stream in (own, *others):
        repeated = {key for key, _ in stream.metadata.items() & container.metadata.items()}
        metadata |= {(_kind(stream), key) for key in _keys(titled(stream.metadata)) - repeated}
    return Contents(
        {one.index: (_kind(one), _codec(one)) for one in others},
        {one.index: _words(one) for one in others},
        frozenset(metadata),
        len(container.chapters()),
        timecode,
        frozenset(one.index for one in others if isinstance(one, AudioStream) and _codec(one) and is_deep(one)),
        own.sample_aspect_ratio or Fraction(1),
        "mp4" in container.format.name,
    )


def _kind(stream: Stream) -> str:
    return "picture" if is_picture(stream) else stream.type


def _codec(stream: Stream) -> str:
    """Name of the decoder; "" if FFmpeg has no name for what the stream holds."""
    return "" if stream.type == "attachment" else getattr(stream, "name", None) or ""


def _words(stream: Stream) -> str:
    told = ("handler_name",) if stream.type == "data" else ("title", "filename", "language")
    names = [_codec(stream), *(_value(titled(stream.metadata), key) for key in told)]
    more = dict.fromkeys(_printable(name) for name in names if name not in ("", "und"))
    return f"stream {stream.index} ({', '.join([_kind(stream), *more])})"


def _printable(text: str) -> str:
    """A text on one line, whatever a file says."""
    shown = text.encode(errors="replace").decode().replace("[169]", "©")
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


def _value(metadata: Mapping[str, str], key: str) -> str:
    return next((value for name, value in metadata.items() if name.lower() == key), "")


def _keys(metadata: Mapping[str, str]) -> set[str]:
    """Keys whose loss counts, with a language itself. FFmpeg gives some twice, once with a language."""
    kept = {key: value for key, value in kept_metadata(metadata).items() if key.lower() not in _WRITTEN_ANEW}
    language = kept.pop("language", "und")
    keys = {*kept, *([] if language == "und" else [f"language {QUICKTIME_LANGUAGES.get(language, language)}"])}
    return {key for key in keys if not (key[-4:-3] == "-" and key[:-4] in keys)}


def _vanished(there: Contents, held: Contents, copied: Copied) -> set[int]:
    """Streams of which packets were written that are not there, or of which no packet was taken."""
    found = Counter(map(_identity, held.streams.values()))
    vanished: set[int] = set()
    for index in sorted(copied.written.keys() | copied.refused.keys()):
        kind = _identity(there.streams[index])
        if copied.written[index] and found[kind]:
            found[kind] -= 1
        else:
            vanished.add(index)
    return vanished


def _identity(stream: tuple[str, str]) -> tuple[str, str]:
    """The key that tells streams apart. MP4 has one name for MP2 and MP3; data FFmpeg may write under a wrong name."""
    kind, codec = stream
    return kind, codec if kind in ("data", "picture") else ""


def _losses(there: Contents, held: Contents, kept: Kept) -> Iterator[str]:
    """A few words for each thing that is not kept."""
    for index in sorted(there.streams.keys() - kept.streams):
        if kept.sound.get(index) == "libopus":
            yield f"quality of {there.names[index]}, which becomes Opus"
        elif index not in kept.sound:
            yield there.names[index]
    if there.chapters > held.chapters:
        yield f"{there.chapters - held.chapters} of {there.chapters} chapters"
    if there.timecode and not kept.timecode:
        yield f"time code {there.timecode}"
    if there.aspect != held.aspect:
        yield f"shape of its pixels ({there.aspect.numerator}:{there.aspect.denominator})"
    copied = {"", "video", *(there.streams[index][0] for index in (*kept.streams, *kept.sound))}
    found = {(kind, key.lower()) for kind, key in held.metadata}
    lost: dict[str, list[str]] = {}
    for kind, key in sorted(there.metadata):
        if kind in copied and (kind, key.lower()) not in found:
            lost.setdefault(kind, []).append(_printable(key))
    for kind, keys in lost.items():
        yield f"metadata{' of ' if kind else ''}{kind}: {', '.join(keys)}"
