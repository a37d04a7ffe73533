"""``revisage status`` of videos in progress; of folders see the journeys."""

from contextlib import contextmanager

import pytest
import typer

from revisage.cli.status import status
from revisage.errors import InputError
from revisage.jobs.store import Entry, Status, folder_beside, open_store


@contextmanager
def video_at_work(output, name, *frames, total=0):
    """A run that has finished parts of so many frames, in ten seconds each."""
    with open_store(output, "restore", {}, folder=folder_beside(output / name)) as store:
        for number, count in enumerate(frames):
            row = {"key": f"{number:06d}", "source": name, "target": "", "run": store.run, "status": Status.DONE}
            store.put(Entry(**row, seconds=10, details=f'{{"frames": {count}, "total": {total}}}'))
        yield


def begin_video(output, name, *frames, total=0):
    with video_at_work(output, name, *frames, total=total):
        pass


STOPPED = "not running (rerun the command to resume)"


def test_a_single_video(tmp_path, capsys):
    begin_video(tmp_path, "a.mp4", 120, 30)
    status(tmp_path)
    assert capsys.readouterr().out == f"a.mp4: 150 frames done, 7.5 a second, {STOPPED}\n1 video: 1 started\n"


def test_a_video_at_work(tmp_path, capsys):
    with video_at_work(tmp_path, "a.mp4", 120, 30, total=1500):
        status(tmp_path)
    line = "a.mp4: 150 of 1500 frames done, 7.5 a second, 0:03:00 left\n"
    assert capsys.readouterr().out == f"{line}1 video: 1 started\n"


def test_a_failure_is_the_exit_code(tmp_path, capsys):
    with open_store(tmp_path, "restore", {}) as store:
        store.put(Entry(key="a", source="a.mp4", target="a.mp4", run=store.run, status="failed", reason="a.mp4: why"))
    with pytest.raises(typer.Exit) as caught:
        status(tmp_path)
    assert caught.value.exit_code == 1
    assert capsys.readouterr().out == "a.mp4: why\n1 video: 1 failed\n"


def test_videos_of_a_folder(tmp_path, capsys):
    for name in ("a.mp4", "sub/b.mkv"):
        begin_video(tmp_path, name, 120)
    with open_store(tmp_path, "restore", {}) as store:
        for name, now in {"a.mp4": "started", "c.mov": "done", "p.jpg": "done", "sub/b.mkv": "started"}.items():
            store.put(Entry(key=name, source=f"../{name}", target=name, run=store.run, status=now))
    status(tmp_path)
    lines = [f"{name}: 120 frames done, 12 a second, {STOPPED}" for name in ("a.mp4", "sub/b.mkv")]
    assert capsys.readouterr().out.splitlines() == [*lines, "1 photo and 3 videos: 2 started, 2 done"]


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(InputError, match="no job store"):
        status(tmp_path)
