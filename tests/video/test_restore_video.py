import errno
import gc
import json
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import (
    SIZE,
    answering_noise,
    clip,
    decoded,
    face_at,
    find_disc,
    image,
    middle_of,
    packets,
    restorer,
    write_video,
)

from revisage.errors import CancelledError, InputError, OutputError
from revisage.evaluation.metrics.image import flicker, psnr
from revisage.jobs.store import folder_beside, open_store, read_entries
from revisage.restore.align import align
from revisage.restore.background import AutoUpscaler, needs_repair
from revisage.restore.controls import Controls
from revisage.restore.upscale import TiledUpscaler
from revisage.tracking.faces import CONTEXT_FRAMES, restored_frames
from revisage.tracking.tracks import Tracker
from revisage.types import FaceStatus
from revisage.video import restore as restoring
from revisage.video import writing
from revisage.video.pixels import Colors, frame_of
from revisage.video.reading import Frame
from revisage.video.restore import Part, restore_video

PLAIN = Controls(scale=1)


def video_frames(images):
    """Frames as the reader gives them, without a file."""
    for index, one in enumerate(images):
        yield Frame(index, index, index / 25, frame_of(one, Colors(), "yuv420p"), one, one)


def in_place(images, first=0):
    """Each image with its face held still, along the known movement, as (64, 64, 3) uint8."""
    crops = [align(one, face_at(middle_of(first + t)).landmarks, 64).crop for t, one in enumerate(images)]
    return [np.rint(crop[8:-8, 8:-8] * 255).astype(np.uint8) for crop in crops]


@pytest.fixture(scope="module")
def degraded():
    """24 frames of a moving face with fresh noise in each."""
    return clip(24, noise=0.03)


def test_videos_flicker_less_than_frame_by_frame_and_are_no_worse(degraded):
    truth = in_place([image(t) for t in range(24)])
    frame_by_frame = [one.image for one in restorer().restore(degraded, PLAIN)]
    video = [one.restoration.image for one in restored_frames(video_frames(degraded), restorer(), PLAIN, Tracker())]
    separate, together = (flicker(in_place(images), truth) for images in (frame_by_frame, video))
    assert together < 0.5 * separate
    assert together < flicker(in_place(degraded), truth)
    quality = [
        np.mean([psnr(*pair) for pair in zip(in_place(images), truth, strict=True)])
        for images in (frame_by_frame, video)
    ]
    assert quality[1] > quality[0] + 1


def test_a_face_that_the_detector_misses_now_and_then_does_not_flash(degraded):
    """It would be restored in one frame and not in the next."""
    calls = iter(range(100))
    detect = lambda image: [] if next(calls) % 5 == 2 else find_disc(image)  # noqa: E731
    done = list(restored_frames(video_frames(degraded), restorer(detect=detect), PLAIN, Tracker()))
    assert [len(one.restoration.faces) for one in done] == [1] * 24
    assert {number for one in done for number in one.tracked.faces} == {0}


def test_the_background_is_not_chosen_frame_by_frame(degraded):
    def repair(tile):
        raise AssertionError("a frame is repaired, and perhaps the next one is not")

    assert needs_repair(degraded[0])
    auto = replace(restorer(), upscale=AutoUpscaler(TiledUpscaler(repair, 2)))
    assert len(list(restored_frames(video_frames(degraded[:3]), auto, PLAIN, Tracker()))) == 3


def test_the_frames_held_do_not_grow_with_the_video():
    alive = set()

    def source():
        still = [image(t) for t in range(4)]
        for frame in video_frames(still[t % 4].copy() for t in range(300)):
            alive.add(frame.index)
            weakref.finalize(frame.image, alive.discard, frame.index)
            yield frame

    most = 0
    quick = restorer(detect=lambda _: [face_at(middle_of(0))], network=lambda crops: crops)
    stream = restored_frames(source(), quick, PLAIN, Tracker())
    for number, _ in enumerate(stream):
        if number % 50 == 0:
            gc.collect()
            most = max(most, len(alive))
    assert number == 299
    assert most <= CONTEXT_FRAMES + 3


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """30 frames with two scenes and a second without a face."""
    frames = clip(14, noise=0.03) + clip(8, face=False) + clip(8, noise=0.03, seed=1)
    return write_video(tmp_path_factory.mktemp("videos") / "video.mp4", frames, sound=1.2)


def run(video, target, **how):
    return restore_video(how.pop("restorer", restorer()), video, target, segment_frames=how.pop("segment", 10), **how)


@pytest.fixture(scope="module")
def whole(video, tmp_path_factory):
    return run(video, tmp_path_factory.mktemp("whole") / "video.mp4")


class Killed(BaseException):
    """What a test kills a run with; nothing catches it."""


def killed_after(frames):
    def progress(done, total):
        if done >= frames:
            raise Killed

    return progress


@pytest.mark.parametrize("frames", [3, 10, 17, 29])
def test_an_interrupted_run_resumes_and_gives_the_same_video(video, whole, tmp_path, frames):
    target = tmp_path / "video.mp4"
    with pytest.raises(Killed):
        run(video, target, progress=killed_after(frames))
    assert not target.exists()
    told = []
    outcome = run(video, target, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (frames // 10 * 10, 30)
    assert replace(outcome, target=whole.target) == whole
    assert packets(target, "video") == packets(whole.target, "video")
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]


def test_a_progress_callback_can_cancel_and_finished_parts_stay(video, whole, tmp_path):
    def cancel(done, total):
        if done == 15:
            raise CancelledError

    with pytest.raises(CancelledError, match="the same call resumes"):
        run(video, tmp_path / "video.mp4", progress=cancel)
    told = []
    run(video, tmp_path / "video.mp4", progress=lambda done, _: told.append(done))
    assert told[0] == 10
    assert packets(tmp_path / "video.mp4", "video") == packets(whole.target, "video")


def test_what_is_left_when_only_joining_failed_is_joined(video, whole, tmp_path, monkeypatch):
    target = tmp_path / "video.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "join", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            run(video, target)
    nothing = restorer(detect=lambda _: pytest.fail("all frames were done"))
    assert replace(run(video, target, restorer=nothing), target=whole.target) == whole


@pytest.mark.parametrize("change", ["controls", "crf", "source", "part"])
def test_what_belongs_to_another_run_is_not_used(video, tmp_path, change):
    source, target = tmp_path / "a.mp4", tmp_path / "video.mp4"
    source.write_bytes(video.read_bytes())
    with pytest.raises(Killed):
        run(source, target, progress=killed_after(15))
    how = {"controls": {"controls": Controls(scale=1, strength=0.5)}, "crf": {"crf": 30}}.get(change, {})
    if change == "source":
        write_video(source, clip(20))
    if change == "part":
        with open_store(tmp_path, "restore", {}, folder=folder_beside(target)) as store:
            store.put(replace(store.entries()[0], details="{}"))
    told = []
    run(source, target, progress=lambda done, _: told.append(done), **how)
    assert told[0] == 0


def test_a_part_is_remembered_exactly(video, tmp_path):
    with pytest.raises(Killed):
        run(video, tmp_path / "video.mp4", segment=12, progress=killed_after(15))
    (entry,) = read_entries(tmp_path, tmp_path / ".video.mp4.revisage")
    text = entry.details
    part = Part.from_json(text)
    assert part.as_json() == text
    assert part.counts.frames == 12
    assert part.tracker.tracks
    assert json.loads(text)["last"] is False


def test_frames_faces_and_tracks_are_counted(whole):
    assert (whole.frames, whole.found, whole.restored, whole.failed, whole.tracks) == (30, 22, 22, 0, 2)
    assert whole.warnings == ()


def test_a_face_with_which_the_network_fails_is_left_as_it_was(video, tmp_path):
    outcome = run(video, tmp_path / "video.mp4", restorer=restorer(network=lambda crops: crops * np.nan))
    assert (outcome.restored, outcome.failed) == (0, 22)
    pairs = zip(decoded(outcome.target), decoded(video), strict=True)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in pairs) < 5  # encoded twice


def test_one_failed_frame_does_not_harm_its_neighbours(degraded):
    calls = iter(range(100))
    network = lambda crops: crops * np.nan if next(calls) == 12 else answering_noise(crops)  # noqa: E731
    done = list(restored_frames(video_frames(degraded), restorer(network=network), PLAIN, Tracker()))
    failed = [place for place, one in enumerate(done) if one.restoration.faces[0].status is FaceStatus.FAILED]
    assert failed == [12]


def test_the_controls_act_on_videos(video, tmp_path):
    half = run(video, tmp_path / "half.mp4", controls=Controls(scale=0.5, strength=0.3))
    assert decoded(half.target)[0].shape == (SIZE[1] // 2, SIZE[0] // 2, 3)
    twice = run(video, tmp_path / "twice.mp4", controls=Controls(scale=2))
    assert decoded(twice.target)[0].shape == (SIZE[1] * 2, SIZE[0] * 2, 3)
    with pytest.raises(InputError, match="aligned"):
        run(video, tmp_path / "aligned.mp4", controls=Controls(aligned=True))
    with pytest.raises(InputError, match="in photos only"):
        run(video, tmp_path / "repaired.mp4", controls=Controls(repair=True))


def test_an_existing_result_is_not_touched(video, tmp_path):
    target = tmp_path / "video.mp4"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        run(video, target)
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]
    run(video, target, overwrite=True)
    assert len(decoded(target)) == 30


def test_the_source_is_never_replaced(video):
    before = video.read_bytes()
    with pytest.raises(InputError, match="same file"):
        run(video, video, overwrite=True)
    assert video.read_bytes() == before


def test_a_full_disk_is_said_in_one_line_and_the_parts_stay(video, tmp_path, monkeypatch):
    target = tmp_path / "video.mp4"
    written = []

    class Full(writing.Writer):
        def write(self, frame, ticks):
            written.append(ticks)
            if len(written) > 14:
                raise av.error.OSError(errno.ENOSPC, "No space left on device")
            super().write(frame, ticks)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "Writer", Full)
        with pytest.raises(OutputError, match="the disk is full") as caught:
            run(video, target)
    assert "\n" not in str(caught.value)
    names = {path.name for path in (tmp_path / ".video.mp4.revisage").iterdir()}
    assert names == {"lock", "jobs.sqlite", "000000.nut"}
    assert run(video, target).frames == 30


def test_a_cut_off_video_is_restored_as_far_as_it_goes(tmp_path):
    source = write_video(tmp_path / "a.mkv", clip(60, noise=0.05, face=False))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
    outcome = run(source, tmp_path / "b.mkv", segment=50)
    assert 10 < outcome.frames < 32
    assert len(decoded(outcome.target)) == outcome.frames
    assert "the video is cut short" in outcome.warnings[0]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_loses_at_most_a_part(video, whole, tmp_path):
    target = tmp_path / "video.mp4"
    code = (
        "import sys, time; from clips import restorer; from revisage.video.restore import restore_video;"
        "slow = lambda done, total: time.sleep(0.2 if done > 12 else 0);"
        "restore_video(restorer(), sys.argv[1], sys.argv[2], segment_frames=10, progress=slow)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(video), str(target)], cwd=Path(__file__).parent)
    folder = tmp_path / ".video.mp4.revisage"

    def is_part_finished():
        with suppress(InputError):
            return any(read_entries(tmp_path, folder))

    while not is_part_finished():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not target.exists()
    told = []
    run(video, target, progress=lambda done, _: told.append(done))
    assert told[0] >= 10
    assert packets(target, "video") == packets(whole.target, "video")
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]
