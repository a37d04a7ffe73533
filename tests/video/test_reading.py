from fractions import Fraction

import av
import numpy as np
import pytest
from clips import clip, image, write_video

from revisage.errors import InputError
from revisage.video.reading import Damage, frames, probe


def read(path, start=0):
    damage = Damage()
    return list(frames(path, probe(path), damage, start)), damage


def test_frames_come_in_order_with_their_times(tmp_path):
    ticks = [0, 500, 900, 1700, 1701, 3000]
    path = write_video(tmp_path / "a.mp4", clip(6), ticks=ticks, time_base=Fraction(1, 12800))
    found, damage = read(path)
    assert [one.index for one in found] == list(range(6))
    assert [Fraction(one.ticks) * probe(path).time_base for one in found] == [Fraction(t, 12800) for t in ticks]
    assert damage == Damage()
    assert np.abs(found[3].image.astype(int) - image(3)).mean() < 3


def test_starting_later_gives_the_same_frames(tmp_path):
    path = write_video(tmp_path / "a.mkv", clip(20))
    whole, rest = read(path)[0], read(path, 13)[0]
    assert [one.index for one in rest] == list(range(13, 20))
    for one, same in zip(rest, whole[13:], strict=True):
        assert one.ticks == same.ticks
        assert np.array_equal(one.image, same.image)


@pytest.mark.parametrize(("angle", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_images_are_upright_in_all_eight_orientations(tmp_path, angle, turns, mirrored):
    """A player turns the coded frame counterclockwise, then mirrors it."""
    upright = image()
    coded = np.ascontiguousarray(np.rot90(upright[:, ::-1] if mirrored else upright, -turns))
    path = write_video(tmp_path / "a.mp4", [coded] * 2, rotation=angle, mirrored=mirrored)
    (frame, _), _ = read(path)
    assert np.array_equal(probe(path).orientation.coded(frame.image), frame.coded)
    assert frame.coded.shape == coded.shape
    assert np.abs(frame.image.astype(int) - upright).mean() < 3


def test_ten_bits_become_sixteen(tmp_path):
    deep = [frame.astype(np.uint16) * 257 for frame in clip(2)]
    options = {"crf": "10", "x265-params": "log-level=error"}
    path = write_video(tmp_path / "a.mkv", deep, codec="libx265", pixel_format="yuv420p10le", options=options)
    (frame, _), _ = read(path)
    assert probe(path).depth == 10
    assert frame.image.dtype == np.uint16
    assert np.abs(frame.image.astype(int) - deep[0]).mean() < 3 * 257


def test_damaged_packets_are_left_out_and_counted(tmp_path):
    path = write_video(tmp_path / "a.mkv", clip(30), options={"crf": "12", "g": "10"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as video:
        places = [(packet.pos, packet.size) for packet in video.demux(video.streams.video[0]) if packet.size]
    place, size = places[12]
    data[place : place + size] = bytes(size)
    path.write_bytes(data)
    found, damage = read(path)
    assert 20 <= len(found) < 30 or damage.packets
    assert [one.ticks for one in found] == sorted({one.ticks for one in found})


def test_a_video_that_ends_too_early_gives_what_there_is(tmp_path):
    path = write_video(tmp_path / "a.mkv", clip(60, noise=0.1))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found, _ = read(path)
    assert 20 < len(found) < 60


def sound_only(path):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text("a shopping list"), "not a video, or truncated or damaged"),
        (lambda path: path.write_bytes(b""), "not a video, or truncated or damaged"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda _: None, "no such file"),
        (sound_only, "no video"),
    ],
    ids=["text", "empty", "folder", "missing", "sound"],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path, make, says):
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(InputError, match=says) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_head_without_a_body_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", clip(20))  # its index comes last
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="truncated"):
        probe(path)
