"""What a result can hold besides its frames is decided, and named, before the first of them is restored."""

import pytest

pytest.importorskip("av", reason="videos need PyAV")
import io
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from clips import clip, packets, restorer, write_video
from PIL import Image

from revisage.errors import OutputError
from revisage.restore.controls import Controls
from revisage.video import planning
from revisage.video.pixels import hdr10_of
from revisage.video.planning import plan_video
from revisage.video.restore import restore_video

CHAPTERS = [
    {"id": n, "start": n * 200, "end": n * 200 + 200, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
    for n, title in enumerate(["Anfang", "結末"])
]
CAMERA_TRACKS = ["mebx", "djmd", "rtmd", "camm", "CTMD", "fdsc", "mett"]


def restored(source, target, **how):
    return restore_video(restorer(), source, target, segment_frames=4, **how)


def plan(source, extension, **how):
    return plan_video(source, source.with_name(f"planned.{extension}"), Controls(scale=1), **how)


def streams(path, kind):
    """(index, name) of the streams of a kind; streams themselves die with their container."""
    with av.open(str(path)) as container:
        return [(stream.index, stream.name) for stream in container.streams if stream.type == kind]


@pytest.mark.parametrize("extension", ["mp4", "m4v", "mov", "mkv", "webm"])
@pytest.mark.parametrize("source", ["mp4", "mov", "mkv"])
def test_chapters_are_kept(tmp_path, source, extension):
    made = write_video(tmp_path / f"a.{source}", clip(10), chapters=CHAPTERS)
    outcome = restored(made, tmp_path / f"b.{extension}")
    assert outcome.left_out == ()
    with av.open(str(outcome.target)) as video:
        assert [one["metadata"]["title"] for one in video.chapters()] == ["Anfang", "結末"]


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("source", ["mp4", "mov"])
def test_a_time_code_track_is_made_anew(tmp_path, source, extension):
    made = write_video(tmp_path / f"a.{source}", clip(3), metadata={"timecode": "01:00:00:00"})
    outcome = restored(made, tmp_path / f"b.{extension}")
    assert outcome.left_out == ()
    with av.open(str(outcome.target)) as video:
        described = {key.lower(): value for key, value in video.streams.video[0].metadata.items()}
        assert described["timecode"] == "01:00:00:00"
    assert len(streams(outcome.target, "data")) == (extension != "mkv")


@pytest.mark.parametrize("timecode", ["01:00:00;00", "nonsense"])
def test_a_time_code_that_makes_no_track_does_not_stop_a_result(tmp_path, timecode):
    """Dropped frames are for 29.97 a second; FFmpeg refuses them at 25."""
    source = write_video(tmp_path / "a.mkv", clip(3), metadata={"timecode": timecode}, chapters=CHAPTERS)
    outcome = restored(source, tmp_path / "b.mov")
    with av.open(str(outcome.target)) as video:
        kept = timecode in video.metadata.values()
        assert len(video.chapters()) == 2
    assert kept or outcome.left_out == (f"time code {timecode}",)


def camera_video(path, tag, metadata=None):
    """A video with a data track as cameras write it: that of a time code under another name."""
    write_video(path, clip(3), metadata={"timecode": "01:00:00:00", **(metadata or {})})
    data = re.sub(rb"(hdlr\0\0\0\0mhlr|hdlr\0\0\0\0\0\0\0\0)tmcd", rb"\1meta", path.read_bytes())
    named = re.sub(
        rb"(stsd\0\0\0\0\0\0\0\x01....)tmcd", lambda match: match.group(1) + tag.encode(), data, flags=re.DOTALL
    )
    path.write_bytes(named.replace(b"tref\0\0\0\x0ctmcd", b"free\0\0\0\x0ctmcd"))
    return path


@pytest.mark.parametrize(
    ("source", "tag", "extension"),
    [
        *(("mov", tag, extension) for tag in CAMERA_TRACKS for extension in ("mp4", "mov")),
        *(("mp4", "djmd", extension) for extension in ("mp4", "m4v", "mov", "mkv", "webm")),
    ],
)
def test_a_data_track_of_a_camera_is_named(tmp_path, source, tag, extension):
    made = camera_video(tmp_path / f"a.{source}", tag)
    outcome = restored(made, tmp_path / f"b.{extension}")
    assert outcome.left_out == ("stream 1 (data, TimeCodeHandler)",)
    assert not outcome.warnings
    assert not streams(outcome.target, "data")


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_a_data_track_that_can_be_copied_is_copied(tmp_path, extension):
    """GoPro's: FFmpeg knows its name."""
    source = camera_video(tmp_path / "a.mov", "gpmd")
    outcome = restored(source, tmp_path / f"b.{extension}")
    assert outcome.left_out == ()
    assert packets(outcome.target, "data") == packets(source, "data")
    assert b"gpmd" in outcome.target.read_bytes()


@pytest.mark.parametrize("codec", ["klv", "timed_id3", "scte_35"])
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_data_of_a_transport_stream_are_named(tmp_path, codec, extension):
    source = tmp_path / "a.ts"
    with av.open(str(write_video(tmp_path / "a.mp4", clip(3)))) as video, av.open(str(source), "w") as output:
        copy = output.add_stream_from_template(video.streams.video[0], opaque=True)
        data = output.add_data_stream(codec)
        data.time_base = Fraction(1, 90000)
        packet = av.Packet(bytes(range(16)) * 2)
        packet.stream, packet.pts, packet.dts, packet.time_base = data, 90, 90, Fraction(1, 90000)
        output.mux(packet)
        for packet in video.demux():
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    ((index, name),) = streams(source, "data")
    outcome = restored(source, tmp_path / f"b.{extension}")
    assert outcome.left_out == (f"stream {index} (data, {name})",)


def cover():
    file = io.BytesIO()
    Image.fromarray(clip(1)[0]).save(file, "JPEG")
    return file.getvalue()


def with_attachment(path, name, media_type, data):
    with av.open(str(write_video(path.with_suffix(".mp4"), clip(3)))) as video, av.open(str(path), "w") as output:
        copy = output.add_stream_from_template(video.streams.video[0], opaque=True)
        output.add_attachment(name, media_type, data)
        for packet in video.demux():
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    return path


@pytest.mark.parametrize("extension", ["mkv", "mp4", "m4v"])
def test_a_cover_stays_a_cover(tmp_path, extension):
    source = with_attachment(tmp_path / "a.mkv", "cover.jpg", "image/jpeg", cover())
    first = restored(source, tmp_path / f"b.{extension}")
    second = restored(first.target, tmp_path / f"c.{extension}")
    back = restored(second.target, tmp_path / "d.mkv")
    for outcome in (first, second, back):
        assert outcome.left_out == ()
        assert outcome.frames == 3
        with av.open(str(outcome.target)) as video:
            (_, picture) = video.streams.video
            assert picture.disposition & av.stream.Disposition.attached_pic
            assert bytes(next(video.demux(picture))) == cover()


@pytest.mark.parametrize("extension", ["mov", "webm"])
def test_a_cover_that_a_format_cannot_hold_is_named(tmp_path, extension):
    source = with_attachment(tmp_path / "a.mkv", "cover.jpg", "image/jpeg", cover())
    outcome = restored(source, tmp_path / f"b.{extension}")
    assert outcome.left_out == ("stream 1 (picture, mjpeg, cover.jpg)",)
    assert len(streams(outcome.target, "video")) == 1


def test_attachments_are_kept_or_named(tmp_path):
    source = with_attachment(tmp_path / "a.mkv", "letters.ttf", "font/ttf", b"0123456789" * 9)
    outcome = restored(source, tmp_path / "b.mkv")
    with av.open(str(outcome.target)) as video:
        (font,) = video.streams.attachments
        assert (font.name, font.data, outcome.left_out) == ("letters.ttf", b"0123456789" * 9, ())
    assert plan(source, "mp4").left_out == ("stream 1 (attachment, letters.ttf)",)


METADATA = {
    "com.apple.quicktime.location.ISO6709": "+10.0000+020.0000/",
    "com.apple.quicktime.make": "Maker",
    "com.apple.quicktime.creationdate": "2020-05-06T07:08:09+0200",
    "title": "Großmutter",
    "creation_time": "2020-05-06T05:08:09.000000Z",
}


@pytest.mark.parametrize("extension", ["mov", "mp4", "m4v", "mkv", "webm"])
def test_place_maker_and_local_time_are_kept(tmp_path, extension):
    how = {"metadata": METADATA, "container_options": {"movflags": "use_metadata_tags"}}
    source = write_video(tmp_path / "a.mov", clip(3), **how)
    outcome = restored(source, tmp_path / f"b.{extension}")
    assert outcome.left_out == ()
    with av.open(str(outcome.target)) as video:
        found = {key.lower(): value for key, value in video.metadata.items()}
        assert {key.lower(): value for key, value in METADATA.items()}.items() <= found.items()
        assert b"major_brand" not in outcome.target.read_bytes()


def test_metadata_that_would_be_lost_are_named(tmp_path):
    source = write_video(tmp_path / "a.mkv", clip(3), stream_metadata={"camera_serial": "17"})
    assert plan(source, "mkv").left_out == ()
    assert plan(source, "mp4").left_out == ("metadata of video: CAMERA_SERIAL",)


def with_atoms(path, atoms):
    """Put atoms into the user data of an MP4 file whose index comes last, as cameras do."""
    data = path.read_bytes()
    index = data.index(b"moov") - 4
    for name, content in atoms.items():
        atom = (8 + len(content)).to_bytes(4, "big") + name + content
        for parent in (data.index(b"udta", index) - 4, index):  # the last one in both
            size = int.from_bytes(data[parent : parent + 4], "big")
            data = data[:parent] + (size + len(atom)).to_bytes(4, "big") + data[parent + 4 :]
        data += atom
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_what_a_camera_writes_in_atoms_of_its_own_is_named(tmp_path, extension):
    source = write_video(tmp_path / "a.mp4", clip(3), metadata={"title": "Großmutter"})
    with_atoms(source, {b"CAME": b"\1\2\xff", b"GPMF": b"DEVC" * 9})
    assert restored(source, tmp_path / f"b.{extension}").left_out == ("metadata: CAME, GPMF",)


def test_metadata_that_are_no_utf8_do_not_stop_a_video(tmp_path):
    source = write_video(tmp_path / "a.avi", clip(3), codec="mpeg4", metadata={"title": "Gro-mutter"})
    source.write_bytes(source.read_bytes().replace(b"Gro-mutter", "Großmutter".encode("latin-1")))
    outcome = restored(source, tmp_path / "b.mkv")
    assert outcome.left_out == ()
    assert "Großmutter".encode("latin-1") in outcome.target.read_bytes()


@pytest.mark.parametrize(
    ("extension", "codec", "target"),
    [
        ("avi", "pcm_s16le", "mp4"),  # does not say where its channels are
        ("mpg", "mp2", "mp4"),  # read again as MP3
        ("ts", "mp2", "mkv"),
        ("vob", "ac3", "mkv"),
        ("mov", "pcm_s16be", "mov"),
        ("mkv", "flac", "mp4"),
    ],
)
def test_sound_of_old_formats_is_copied(tmp_path, extension, codec, target):
    video_codec = "mpeg2video" if extension in ("mpg", "vob") else "libx264"
    source = tmp_path / f"a.{extension}"
    write_video(source, clip(10), codec=video_codec, options={"g": "5"}, sound=0.4, sound_codec=codec)
    outcome = restored(source, tmp_path / f"b.{target}")
    assert outcome.left_out == ()
    samples = [b"".join(data for data, _ in packets(path, "audio")) for path in (source, outcome.target)]
    assert samples[0] == samples[1]


def test_a_second_video_keeps_its_rate(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(write_video(tmp_path / "one.mp4", clip(10)))) as video, av.open(str(source), "w") as output:
        copies = [output.add_stream_from_template(video.streams.video[0], opaque=True) for _ in range(2)]
        for copy in copies:
            video.seek(0)
            for packet in video.demux():
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
    with av.open(str(restored(source, tmp_path / "b.mkv").target)) as video:
        assert [float(stream.average_rate) for stream in video.streams.video] == [25, 25]


DISPLAY = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,1)"


def hdr_video(path):
    deep = [frame.astype(np.uint16) * 257 for frame in clip(2)]
    params = f"log-level=error:hdr10=1:master-display={DISPLAY}:max-cll=1000,400"
    how = {"codec": "libx265", "pixel_format": "yuv420p10le", "options": {"x265-params": params}}
    return write_video(path, deep, **how)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_hdr_mastering_data_are_kept(tmp_path, extension):
    outcome = restored(hdr_video(tmp_path / "a.mkv"), tmp_path / f"b.{extension}")
    assert outcome.left_out == ()
    with av.open(str(outcome.target)) as video:
        assert hdr10_of(next(video.decode(video=0))) == f"master-display={DISPLAY}:max-cll=1000,400"


def test_hdr_mastering_data_that_an_encoder_does_not_write_are_named(tmp_path):
    assert "HDR10 mastering data" in plan(hdr_video(tmp_path / "a.mkv"), "webm").left_out


CAPTION = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x80\x80\xff"
"""One empty pair of CEA-608 in a message of ATSC A/53."""


def with_captions(path, first):
    """A raw H.264 stream whose frames carry captions from one on, as broadcasts do."""
    message = b"\x00\x00\x00\x01\x06\x04" + bytes([len(CAPTION)]) + CAPTION + b"\x80"
    with av.open(str(write_video(path.with_suffix(".mp4"), clip(8), options={"bf": "0", "g": "1"}))) as video:
        filtered = BitStreamFilterContext("h264_mp4toannexb", video.streams.video[0])
        frames = [bytes(one) for packet in video.demux() if packet.size for one in filtered.filter(packet)]
    path.write_bytes(b"".join((message if index >= first else b"") + frame for index, frame in enumerate(frames)))
    return path


def test_closed_captions_are_named_wherever_they_begin(tmp_path):
    source = with_captions(tmp_path / "a.ts", 0)
    assert plan(source, "mkv").left_out == ("closed captions",)
    late = with_captions(tmp_path / "late.ts", 5)
    assert plan(late, "mkv").left_out == ()
    assert restored(late, tmp_path / "b.mkv").left_out == ("closed captions",)
    with pytest.raises(OutputError, match="closed captions"):
        restored(late, tmp_path / "c.mkv", strict=True)
    assert not (tmp_path / "c.mkv").exists()


def test_nothing_is_restored_or_written_where_strict_forbids_a_loss(tmp_path):
    source = camera_video(tmp_path / "a.mov", "mebx")

    def detect(image):
        raise AssertionError("a frame was restored")

    with pytest.raises(OutputError, match=r"mov cannot hold all of it .*stream 1 \(data, TimeCodeHandler\)"):
        restore_video(restorer(detect=detect), source, tmp_path / "b.mov", strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mov"]


def test_a_plan_names_what_a_run_leaves_out_and_writes_nothing(tmp_path):
    source = camera_video(tmp_path / "a.mov", "mebx")
    assert plan(source, "mov").left_out == restored(source, tmp_path / "b.mov").left_out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mov", "b.mov"]


def test_a_disk_without_room_is_found_before_the_first_frame(tmp_path, monkeypatch):
    source = write_video(tmp_path / "a.mp4", clip(3))
    needed = plan(source, "mp4").bytes
    assert 0 < needed < 3 * source.stat().st_size
    monkeypatch.setattr(planning, "free_bytes", lambda _: needed - 1)
    with pytest.raises(OutputError, match=r"about 0.0 MB are needed there, 0.0 MB are free"):
        restored(source, tmp_path / "new" / "b.mp4")
    assert not (tmp_path / "new").exists()


def test_sound_whose_times_go_back_is_copied(tmp_path):
    """Damaged recordings: muxers refuse such packets, after all frames were restored."""
    whole = write_video(tmp_path / "whole.mkv", clip(20), sound=0.8)
    source = tmp_path / "a.avi"
    with av.open(str(whole)) as video, av.open(str(source), "w", format="nut") as output:
        copies = [output.add_stream_from_template(stream, opaque=True) for stream in video.streams]
        for number, packet in enumerate(video.demux()):
            if packet.size:
                if packet.stream.type == "audio" and number % 7 == 3:
                    packet.dts = packet.pts = max(packet.pts - 40, 0)
                packet.stream = copies[packet.stream.index]
                try:
                    output.mux(packet)
                except av.error.FFmpegError:
                    continue
    outcome = restored(source, tmp_path / "b.mp4")
    assert len(packets(outcome.target, "audio")) == len(packets(source, "audio"))
