"""``revisage restore video.mp4`` as people call it: real processes, the embedded model."""

import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from command import COMMAND, revisage
from portrait import head

from revisage.images import read_image, write_image

av = pytest.importorskip("av", reason="videos need PyAV")


def small_head():
    return cv2.resize(head(), (96, 96), interpolation=cv2.INTER_AREA)


def write_video(path, frames):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "15"})
        stream.height, stream.width = frames[0].shape[:2]
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    still = small_head()
    frames = [np.ascontiguousarray(np.roll(still, t, axis=1)) for t in range(4)]
    return write_video(tmp_path_factory.mktemp("my videos") / "Großmutter & 家族.mp4", frames)


def shape_and_length(path):
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames[0].shape, len(frames)


def test_films_and_photos_are_restored_by_one_command(video, tmp_path):
    photo = tmp_path / "photo.png"
    write_image(photo, small_head())
    out = tmp_path / "out"
    result = revisage("restore", video, photo, "-o", out, "--strength", "0.5")
    assert result.returncode == 0, result.stderr
    assert f"{video} -> {out / video.name}: 4 frames, 4 faces, 4 restored, of 1 track" in result.stdout
    assert shape_and_length(out / video.name) == ((96, 96, 3), 4)  # a video keeps its size
    assert read_image(out / "photo.png").shape == (192, 192, 3)  # a photo is doubled
    assert sorted(path.name for path in out.iterdir()) == sorted([video.name, "photo.png"])
    again = revisage("restore", video, "-o", out)
    assert (again.returncode, again.stdout) == (
        0,
        f"{video}: skipped, {out / video.name} exists already (--overwrite replaces it)\n"
        f"1 video: 1 skipped; results in {out}\n",
    )


def test_detect_lists_the_tracks_of_a_video(video):
    done = revisage("detect", video, "--draw")
    assert done.returncode == 0, done.stderr
    title, line = done.stdout.splitlines()
    assert title == f"{video}: 1 face"
    assert line.split()[:2] == ["0", "box"]
    assert line.endswith("4 frames from 0.00 s")
    assert done.stderr == f"warning: {video}: boxes are drawn in photos, not in videos\n"


def test_what_is_no_film_is_one_line_and_the_others_go_on(tmp_path):
    (tmp_path / "text.mp4").write_text("a shopping list")
    plain = write_video(tmp_path / "plain.mkv", [np.full((64, 64, 3), 90, np.uint8)] * 2)
    result = revisage("restore", tmp_path / "text.mp4", plain, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr == f"error: cannot read {tmp_path / 'text.mp4'}: not a video, or truncated or damaged\n"
    assert result.stdout.splitlines()[0] == f"{plain} -> {tmp_path / 'out' / 'plain.mkv'}: 2 frames, no faces"


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_ctrl_c_says_how_to_go_on(tmp_path):
    source = write_video(tmp_path / "long.mp4", [small_head()] * 100)
    command = [*COMMAND, "restore", str(source), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    plan = tmp_path / "out" / ".long.mp4.revisage" / "jobs.sqlite"
    while not plan.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert f"stopped; to resume: revisage restore {source} -o {tmp_path / 'out'}\n" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out" / "long.mp4").exists()
    assert plan.exists()


def test_what_a_video_would_lose_is_found_by_a_dry_run_and_refused_by_strict(tmp_path):
    source = write_video(tmp_path / "a.mkv", [small_head()] * 3)
    with av.open(str(source)) as video, av.open(str(tmp_path / "b.mkv"), "w") as output:
        copy = output.add_stream_from_template(video.streams.video[0], opaque=True)
        output.add_attachment("letters.ttf", "font/ttf", b"letters")
        for packet in video.demux():
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    out = tmp_path / "out"
    command = "restore", tmp_path / "b.mkv", "-o", out, "--format", "mp4"
    dry = revisage(*command, "--dry-run")
    lost = "stream 1 (attachment, letters.ttf)"
    assert f"{tmp_path / 'b.mkv'} -> {out / 'b.mp4'}; would leave out: {lost}" in dry.stdout
    assert dry.returncode == 0
    for more in (["--strict"], ["--strict", "--dry-run"]):
        strict = revisage(*command, *more)
        assert strict.returncode == 1
        assert lost in strict.stderr
    assert not out.exists()
    assert f"; left out: {lost}\n" in revisage(*command).stdout
