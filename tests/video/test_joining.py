from fractions import Fraction

import av
import numpy as np
import pytest
from clips import clip, decoded, image, packets, restorer, times, write_video

from revisage.errors import OutputError
from revisage.video.restore import restore_video


def restored(source, target, **how):
    return restore_video(restorer(), source, target, segment_frames=4, **how)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
def test_sound_is_copied_to_the_last_bit(tmp_path, extension):
    codec = "libvpx-vp9" if extension == "webm" else "libx264"
    source = write_video(tmp_path / f"a.{extension}", clip(10), codec=codec, sound=0.4)
    outcome = restored(source, tmp_path / f"b.{extension}")
    assert packets(outcome.target, "audio") == packets(source, "audio")
    assert times(outcome.target) == times(source)
    assert not outcome.warnings
    with av.open(str(outcome.target)) as video, av.open(str(source)) as original:
        assert video.streams.audio[0].language == original.streams.audio[0].language


def test_irregular_times_are_kept_exactly(tmp_path):
    ticks = [0, 500, 900, 1700, 1701, 3000, 5000, 9512, 9600, 20000]
    source = write_video(tmp_path / "a.mp4", clip(10), ticks=ticks, time_base=Fraction(1, 12800))
    outcome = restored(source, tmp_path / "b.mp4")
    assert times(outcome.target) == [Fraction(t, 12800) for t in ticks]


def test_metadata_and_chapters_are_copied(tmp_path):
    chapters = [
        {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "Anfang"}},
        {"id": 2, "start": 200, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "結末"}},
    ]
    metadata = {"title": "Großmutter 1962", "artist": "家族"}
    source = write_video(tmp_path / "a.mkv", clip(10), metadata=metadata, chapters=chapters)
    target = restored(source, tmp_path / "b.mkv").target
    with av.open(str(target)) as video:
        assert metadata.items() <= {key.lower(): value for key, value in video.metadata.items()}.items()
        assert [(one["metadata"]["title"], one["end"] * one["time_base"]) for one in video.chapters()] == [
            ("Anfang", Fraction(1, 5)),
            ("結末", Fraction(2, 5)),
        ]


def test_subtitles_are_copied(tmp_path):
    text = tmp_path / "a.srt"
    text.write_text("1\n00:00:00,100 --> 00:00:00,300\nGuten Tag!\n", encoding="utf-8")
    video = write_video(tmp_path / "a.mkv", clip(10))
    source = tmp_path / "both.mkv"
    with av.open(str(video)) as images, av.open(str(text)) as words, av.open(str(source), "w") as output:
        copies = [output.add_stream_from_template(one.streams[0], opaque=True) for one in (images, words)]
        copies[1].metadata["language"] = "deu"
        for original, copy in zip((images, words), copies, strict=True):
            for packet in original.demux():
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
    target = restored(source, tmp_path / "c.mkv").target
    assert packets(target, "subtitle") == packets(source, "subtitle")
    with av.open(str(target)) as result:
        assert result.streams.subtitles[0].language == "deu"


@pytest.mark.parametrize("angle", [90, -90])
def test_a_turned_video_stays_turned(tmp_path, angle):
    """Faces are found upright; what players get is coded and marked as it was."""
    coded = [np.ascontiguousarray(np.rot90(frame, -angle // 90)) for frame in clip(8)]
    source = write_video(tmp_path / "a.mp4", coded, rotation=angle)
    outcome = restored(source, tmp_path / "b.mp4")
    assert outcome.restored == 8
    with av.open(str(outcome.target)) as video:
        frame = next(video.decode(video=0))
        assert frame.rotation == angle
        assert (frame.width, frame.height) == (64, 96)
    assert np.abs(decoded(outcome.target)[0].astype(int) - coded[0]).mean() < 6


@pytest.mark.parametrize(
    "colors",
    [
        {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1},
        {"colorspace": 6, "color_range": 2, "color_primaries": 6, "color_trc": 6},
    ],
    ids=["bt709", "full bt601"],
)
def test_colours_mean_what_they_meant(tmp_path, colors):
    source = write_video(tmp_path / "a.mp4", clip(6), colors=colors)
    target = restored(source, tmp_path / "b.mp4").target
    with av.open(str(target)) as video:
        frame = next(video.decode(video=0))
        stream = video.streams.video[0].codec_context
        for name, value in colors.items():
            assert getattr(frame, name) == value
            assert getattr(stream, name) == value
    ground = slice(0, 8), slice(0, 8)
    assert np.abs(decoded(target)[3][ground].astype(int) - decoded(source)[3][ground]).max() <= 2


def test_ten_bits_stay_ten_bits(tmp_path):
    deep = [frame.astype(np.uint16) * 257 for frame in clip(6)]
    options = {"crf": "10", "x265-params": "log-level=error"}
    source = write_video(tmp_path / "a.mkv", deep, codec="libx265", pixel_format="yuv420p10le", options=options)
    target = restored(source, tmp_path / "b.mkv").target
    with av.open(str(target)) as video:
        assert next(video.decode(video=0)).format.name == "yuv420p10le"
    assert np.abs(decoded(target)[3].astype(int) - image(3)).mean() < 4


def test_an_odd_size_grows_to_an_even_one(tmp_path):
    frames = [frame[:63, :95] for frame in clip(6)]
    source = write_video(tmp_path / "a.mkv", frames, codec="libvpx-vp9")
    target = restored(source, tmp_path / "b.mp4").target
    assert decoded(target)[0].shape == (64, 96, 3)
    assert np.abs(decoded(target)[0][:63, :95].astype(int) - frames[0]).mean() < 5


def test_a_stream_that_the_format_cannot_hold_is_named(tmp_path):
    source = write_video(tmp_path / "a.mkv", clip(6), sound=0.2)
    outcome = restored(source, tmp_path / "b.webm")
    assert outcome.warnings == (f"stream 1 (audio) of {source} is not copied: webm cannot hold it",)


def test_an_unknown_format_is_refused_at_once(tmp_path):
    source = write_video(tmp_path / "a.mkv", clip(2))
    with pytest.raises(OutputError, match="mp4, m4v, mov, mkv, webm"):
        restored(source, tmp_path / "b.avi")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv"]
