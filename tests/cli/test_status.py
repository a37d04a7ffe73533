"""``revisage status`` of videos in progress; of folders see the journeys."""

import json
import re
import threading
import time
from contextlib import closing, contextmanager

import pytest
import typer
from filelock import FileLock
from plain_restorer import UNCHANGED, photo

from revisage.batch import Options, collect, restore_files
from revisage.cli.status import status
from revisage.errors import InputError
from revisage.jobs.database import LOCK
from revisage.jobs.store import FOLDER, Entry, Status, folder_beside, open_store, read_run


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


def test_a_video_of_which_no_part_is_done(tmp_path, capsys):
    begin_video(tmp_path, "a.mp4")
    status(tmp_path)
    assert capsys.readouterr().out == f"a.mp4: no frames done, {STOPPED}\n1 video: 1 started\n"


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
    assert capsys.readouterr().out == "a.mp4: why\n1 video: 1 failed; finished\n"


def test_videos_of_a_folder(tmp_path, capsys):
    for name in ("a.mp4", "sub/b.mkv"):
        begin_video(tmp_path, name, 120)
    with open_store(tmp_path, "restore", {}) as store:
        for name, now in {"a.mp4": "started", "c.mov": "done", "p.jpg": "done", "sub/b.mkv": "started"}.items():
            store.put(Entry(key=name, source=f"../{name}", target=name, run=store.run, status=now))
    status(tmp_path)
    lines = [f"{name}: 120 frames done, 12 a second, {STOPPED}" for name in ("a.mp4", "sub/b.mkv")]
    assert capsys.readouterr().out.splitlines() == [*lines, f"1 photo and 3 videos: 2 started, 2 done; {STOPPED}"]


def put(store, **statuses):
    for name, now in statuses.items():
        row = {"key": name, "source": f"../{name}.jpg", "target": f"{name}.jpg"}
        details = {"left_out": ["gain map"]} if name == "b" else {}
        store.put(Entry(**row, run=store.run, status=now, details=json.dumps(details)))


def test_a_run_at_work(tmp_path, capsys, monkeypatch):
    now = iter((1000.0, 1004.0))  # its begin, and the note
    monkeypatch.setattr("revisage.jobs.store.time.time", lambda: next(now))
    with open_store(tmp_path, "restore", {}) as store:
        put(store, a="done", b="done", c="skipped", d="started")
        store.note(total=13, seen=3)
        status(tmp_path)
        status(tmp_path, summary=True, json=True)
    line, machine = capsys.readouterr().out.splitlines()
    counts = "4 photos of 13: 1 started, 2 done, 1 skipped; 1 with something left out"
    assert line == f"{counts}; running, 0.75 a second, 0:00:13 left"
    counts = {"started": 1, "done": 2, "skipped": 1, "failed": 0, "left_out": 1}
    assert json.loads(machine) == {**counts, "is_open": True, "total": 13, "seen": 3, "seconds": 4.0}


def test_total_rate_and_time_left_are_known_from_the_start_of_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("revisage.batch.restore.NOTE_SECONDS", 0.0)
    for number in range(30):
        photo(tmp_path / "album" / f"{number:02d}.png")
    output = tmp_path / "out"
    with closing(
        restore_files(UNCHANGED, collect(tmp_path / "album"), Options(output=output, resume=True))
    ) as outcomes:
        next(outcomes)
        deadline = time.monotonic() + 20
        while read_run(output).total < 30 and time.monotonic() < deadline:  # they are counted meanwhile
            time.sleep(0.01)
        next(outcomes)
        status(output)
    assert re.fullmatch(r"\d+ photos of 30: .*; running, \S+ a second, \d:\d\d:\d\d left\n", capsys.readouterr().out)


def test_a_run_that_was_interrupted_says_how_to_resume(tmp_path, capsys):
    with open_store(tmp_path, "restore", {}) as store:
        put(store, a="done", d="started")
        store.note(total=13, seen=1)
    status(tmp_path)
    assert capsys.readouterr().out == f"2 photos of 13: 1 started, 1 done; {STOPPED}\n"


def test_a_run_that_is_complete(tmp_path, capsys):
    with open_store(tmp_path, "restore", {}) as store:
        put(store, a="done")
        store.note(total=1, seen=1)
    status(tmp_path)
    assert capsys.readouterr().out == "1 photo: 1 done; finished\n"


def test_asking_for_the_status_refuses_no_run_that_begins_at_that_moment(tmp_path):
    with open_store(tmp_path, "restore", {}):
        pass
    asking = FileLock(tmp_path / FOLDER / LOCK, thread_local=False)
    asking.acquire()
    threading.Timer(0.01, asking.release).start()
    with open_store(tmp_path, "restore", {}) as store:
        assert store.run == 2


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(InputError, match="no job store"):
        status(tmp_path)
