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


def matrix_of(path):
    with av.open(str(path)) as video:
        matrix = next(video.decode(video=0)).side_data.get("DISPLAYMATRIX")
        return matrix and bytes(matrix)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("angle", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_each_of_the_eight_orientations_stays(tmp_path, angle, mirrored, extension):
    """Faces are found upright; what players get is coded and marked as it was."""
    upright = [frame[:, ::-1] if mirrored else frame for frame in clip(3)]
    coded = [np.ascontiguousarray(np.rot90(frame, -angle // 90)) for frame in upright]
    source = write_video(tmp_path / "a.mp4", coded, rotation=angle, mirrored=mirrored)
    outcome = restored(source, tmp_path / f"b.{extension}")
    assert outcome.restored == 3
    assert matrix_of(outcome.target) == matrix_of(source)
    assert np.abs(decoded(outcome.target)[0].astype(int) - coded[0]).mean() < 6


@pytest.mark.parametrize(
    "colors",
    [
        {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1},
        {"colorspace": 6, "color_range": 2, "color_primaries": 6, "color_trc": 6},
    ],
    ids=["bt709", "full bt601"],
)
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
def test_colours_mean_what_they_meant(tmp_path, colors, extension):
    source = write_video(tmp_path / "a.mp4", clip(6), colors=colors)
    target = restored(source, tmp_path / f"b.{extension}").target
    with av.open(str(target)) as video:
        frame = next(video.decode(video=0))
        stream = video.streams.video[0].codec_context
        for name, value in colors.items():
            assert getattr(frame, name) == value
            assert getattr(stream, name) == value
    ground = slice(0, 8), slice(0, 8)
    assert np.abs(decoded(target)[3][ground].astype(int) - decoded(source)[3][ground]).max() <= 2


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
def test_the_shape_of_pixels_is_kept_or_named(tmp_path, extension):
    source = write_video(tmp_path / "a.mp4", clip(3), colors={"sample_aspect_ratio": Fraction(64, 45)})
    outcome = restored(source, tmp_path / f"b.{extension}")
    with av.open(str(outcome.target)) as video:
        kept = video.streams.video[0].sample_aspect_ratio == Fraction(64, 45)
    assert outcome.left_out == (() if kept else ("shape of its pixels (64:45)",))
    assert kept == (extension != "webm")


def test_ten_bits_stay_ten_bits(tmp_path):
    deep = [frame.astype(np.uint16) * 257 for frame in clip(6)]
    options = {"crf": "10", "x265-params": "log-level=error"}
    source = write_video(tmp_path / "a.mkv", deep, codec="libx265", pixel_format="yuv420p10le", options=options)
    target = restored(source, tmp_path / "b.mkv").target
    with av.open(str(target)) as video:
        assert next(video.decode(video=0)).format.name == "yuv420p10le"
    assert np.abs(decoded(target)[3].astype(int) - image(3)).mean() < 4


RATES = {
    "mkv": ("libx264", {}),
    "mp4": ("libx264", {}),
    "webm": ("libvpx-vp9", {}),
    "ts": ("libx264", {}),
    "mpg": ("mpeg2video", {}),
    "vob": ("mpeg2video", {}),
    "3gp": ("libx264", {}),
    "avi": ("mpeg4", {}),
    "flv": ("libx264", {}),
}


@pytest.mark.parametrize(
    ("source", "extension"),
    [*((source, extension) for source in RATES for extension in ("mkv", "mp4")), ("mkv", "mov"), ("ts", "webm")],
)
@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
def test_the_announced_rate_is_that_of_the_source(tmp_path, source, extension, rate):
    codec, options = RATES[source]
    made = write_video(tmp_path / f"a.{source}", clip(30, face=False), codec=codec, rate=rate, options=options)
    target = restored(made, tmp_path / f"b.{extension}").target
    with av.open(str(target)) as video:
        assert float(video.streams.video[0].average_rate) == pytest.approx(float(rate), rel=1e-4)
        assert float(video.streams.video[0].guessed_rate) == pytest.approx(float(rate), rel=1e-4)
    assert not restored(target, tmp_path / "again.mkv").warnings


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_the_announced_rate_is_that_of_a_source_with_longer_sound(tmp_path, extension):
    """Matroska without statistics says how long the file is, not its video."""
    made = write_video(tmp_path / "a.webm", clip(5, face=False), codec="libvpx-vp9", options={}, sound=1.0)
    bare = tmp_path / "bare.mkv"
    bare.write_bytes(made.read_bytes().replace(b"DURATION", b"DURATIOM"))
    target = restored(bare, tmp_path / f"b.{extension}").target
    with av.open(str(target)) as video:
        assert float(video.streams.video[0].average_rate) == pytest.approx(25, rel=0.01)


@pytest.mark.parametrize(
    ("source", "extension"),
    [("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mkv"), ("mp4", "mp4"), ("mp4", "mov"), ("mov", "mp4")],
)
def test_all_sound_tracks_keep_title_and_language(tmp_path, source, extension):
    made = tmp_path / f"a.{source}"
    with (
        av.open(str(write_video(tmp_path / "b.mp4", clip(4, face=False), sound=0.2))) as one,
        av.open(str(made), "w") as both,
    ):
        template = one.streams.audio[0]
        video = both.add_stream_from_template(one.streams.video[0], opaque=True)
        copies = [both.add_stream_from_template(template, opaque=True) for _ in range(2)]
        for copy, title, language in zip(copies, ("Original", "Kommentar"), ("fra", "ger"), strict=True):
            copy.metadata.update({"title": title, "language": language})
        for packet in one.demux():
            for copy in [video] if packet.stream.type == "video" else copies:
                if packet.dts is not None:
                    packet.stream = copy
                    both.mux(packet)
    outcome = restored(made, tmp_path / f"c.{extension}")
    assert outcome.left_out == ()
    with av.open(str(outcome.target)) as video:
        told = [(one.metadata.get("title", one.metadata.get("name")), one.language) for one in video.streams.audio]
    assert told == [("Original", "fra"), ("Kommentar", "ger")]


def test_a_language_that_quicktime_has_no_code_for_is_named(tmp_path):
    source = write_video(tmp_path / "a.mp4", clip(4, face=False), sound=0.2)
    with av.open(str(restored(source, tmp_path / "b.mov").target)) as video:
        assert video.streams.audio[0].language == "ger"  # another code of the same language
    rare = tmp_path / "rare.mkv"
    rare.write_bytes(restored(source, tmp_path / "c.mkv").target.read_bytes().replace(b"\x83deu", b"\x83vol"))
    assert restored(rare, tmp_path / "d.mov").left_out == ("metadata of audio: language vol",)
    assert restored(rare, tmp_path / "d.mp4").left_out == ()


def test_a_broadcast_begins_at_zero(tmp_path):
    """Its clock has run for hours; a result that went on with it would seem to last as long."""
    how = {"sound": 1.2, "container_options": {"output_ts_offset": "7200"}}
    source = write_video(tmp_path / "a.ts", clip(30, face=False), **how)
    outcome = restored(source, tmp_path / "b.mkv")
    assert times(source)[0] >= 7200
    assert times(outcome.target)[0] < 0.1
    assert np.allclose(np.diff(np.float64(times(outcome.target))), np.diff(np.float64(times(source))), atol=0.002)
    assert not restored(outcome.target, tmp_path / "again.mkv").warnings


@pytest.mark.parametrize("extension", ["mkv", "mp4", "mov"])
def test_the_announced_rate_of_irregular_times_is_their_mean(tmp_path, extension):
    ticks = [0, 500, 900, 1700, 1701, 3000, 5000, 9512, 9600, 20000]
    how = {"ticks": ticks, "time_base": Fraction(1, 12800), "options": {"crf": "12", "bf": "0"}}
    source = write_video(tmp_path / "a.mp4", clip(10, face=False), **how)
    target = restored(source, tmp_path / f"b.{extension}").target
    with av.open(str(source)) as before, av.open(str(target)) as after:
        rates = [float(one.streams.video[0].average_rate) for one in (before, after)]
    assert rates[1] == pytest.approx(rates[0], rel=1e-3)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "extension", "expected"),
    [
        ("ffv1", "bgr0", "mkv", "yuv444p"),
        ("ffv1", "bgra", "mkv", "yuv444p"),
        ("ffv1", "gbrp10le", "mkv", "yuv444p10le"),
        ("ffv1", "gbrp12le", "mp4", "yuv444p12le"),
        ("ffv1", "gray", "mkv", "yuv420p"),
        ("ffv1", "yuv444p", "mov", "yuv444p"),
        ("ffv1", "yuva444p", "mp4", "yuv444p"),
        ("ffv1", "yuva422p10le", "mov", "yuv422p10le"),
        ("ffv1", "yuv422p12le", "mkv", "yuv422p12le"),
        ("ffv1", "yuv420p12le", "mp4", "yuv420p12le"),
        ("ffv1", "yuv420p9le", "mkv", "yuv420p10le"),
        ("ffv1", "yuv411p", "mkv", "yuv422p"),
        ("ffv1", "yuv440p", "mp4", "yuv444p"),
        ("rawvideo", "yuyv422", "avi", "yuv422p"),
        ("ffv1", "yuv444p", "webm", "yuv444p"),
        ("ffv1", "yuv420p10le", "webm", "yuv420p10le"),
        ("qtrle", "argb", "mov", "yuv444p"),
    ],
)
def test_chroma_and_depth_are_those_of_the_source(tmp_path, codec, pixel_format, extension, expected):
    container = "avi" if extension == "avi" else "mov" if codec == "qtrle" else "mkv"
    frames = [frame.astype(np.uint16) * 257 if "1" in pixel_format[-4:] else frame for frame in clip(3)]
    how = {"codec": codec, "pixel_format": pixel_format, "options": {"g": "1"}}
    source = write_video(tmp_path / f"a.{container}", frames, **how)
    outcome = restored(source, tmp_path / f"b.{'mkv' if extension == 'avi' else extension}")
    with av.open(str(outcome.target)) as video:
        assert next(video.decode(video=0)).format.name.replace("yuvj", "yuv") == expected
    assert outcome.left_out == (("transparency",) if "a" in pixel_format.replace("gray", "") else ())


def test_stripes_of_one_pixel_keep_their_color(tmp_path):
    frames = clip(3)
    for frame in frames:
        frame[:20, ::2], frame[:20, 1::2] = (200, 60, 60), (60, 60, 200)
    source = write_video(tmp_path / "a.mkv", frames, codec="ffv1", pixel_format="bgr0", options={"g": "1"})
    stripes = decoded(restored(source, tmp_path / "b.mkv").target)[1][4:16, 4:-4].astype(int)
    assert np.abs(stripes - frames[1][4:16, 4:-4]).mean() < 8


def test_an_odd_size_grows_to_an_even_one(tmp_path):
    frames = [frame[:63, :95] for frame in clip(6)]
    source = write_video(tmp_path / "a.mkv", frames, codec="libvpx-vp9")
    target = restored(source, tmp_path / "b.mp4").target
    assert decoded(target)[0].shape == (64, 96, 3)
    assert np.abs(decoded(target)[0][:63, :95].astype(int) - frames[0]).mean() < 5


def test_sound_that_the_format_cannot_hold_becomes_what_it_can(tmp_path):
    source = write_video(tmp_path / "a.mkv", clip(25), sound=1)
    outcome = restored(source, tmp_path / "b.webm")
    assert outcome.left_out == ("quality of stream 1 (audio, aac, deu), which becomes Opus",)
    before, after = heard(source), heard(outcome.target)
    with av.open(str(outcome.target)) as video:
        assert video.streams.audio[0].language == "deu"
    assert np.corrcoef(before[4800:40000], after[4800:40000])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("extension", "codec", "target"),
    [
        ("m2ts", "pcm_bluray", "mkv"),
        ("vob", "pcm_dvd", "mkv"),
        ("avi", "adpcm_ms", "mkv"),
        ("vob", "pcm_dvd", "mp4"),
        ("m2ts", "pcm_bluray", "mov"),
    ],
)
def test_sound_of_old_formats_is_encoded_anew_without_loss(tmp_path, extension, codec, target):
    source = tmp_path / f"a.{extension}"
    video_codec = "mpeg2video" if extension == "vob" else "libx264"
    how = {"sound": 0.4, "sound_codec": codec, "sound_layout": "stereo", "options": {"g": "5"}}
    write_video(source, clip(10), codec=video_codec, **how)
    outcome = restored(source, tmp_path / f"b.{target}")
    assert outcome.left_out == ()
    assert np.array_equal(heard(source), heard(outcome.target))


def heard(path):
    """The samples of the first channel."""
    with av.open(str(path)) as video:
        resampler = av.AudioResampler("fltp", "mono", 48000)
        return np.concatenate(
            [one.to_ndarray()[0] for frame in video.decode(audio=0) for one in resampler.resample(frame)]
        )


def test_an_unknown_format_is_refused_at_once(tmp_path):
    source = write_video(tmp_path / "a.mkv", clip(2))
    with pytest.raises(OutputError, match="mp4, m4v, mov, mkv, webm"):
        restored(source, tmp_path / "b.avi")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv"]
