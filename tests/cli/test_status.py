"""``revisage status`` of videos in progress; of folders see the journeys."""

import pytest

from revisage.cli.status import status
from revisage.errors import InputError
from revisage.jobs.store import Entry, Status, folder_beside, open_store


def begin_video(output, name, *frames):
    """A run that ended after parts of so many frames."""
    with open_store(output, "restore", {}, folder=folder_beside(output / name)) as store:
        for number, count in enumerate(frames):
            row = {"key": f"{number:06d}", "source": name, "target": "", "run": store.run, "status": Status.DONE}
            store.put(Entry(**row, details=f'{{"frames": {count}}}'))


def test_a_single_video(tmp_path, capsys):
    begin_video(tmp_path, "a.mp4", 120, 30)
    status(tmp_path)
    assert capsys.readouterr().out == "a.mp4: 150 frames done\n1 video: 1 started\n"


def test_videos_of_a_folder(tmp_path, capsys):
    for name in ("a.mp4", "sub/b.mkv"):
        begin_video(tmp_path, name, 120)
    with open_store(tmp_path, "restore", {}) as store:
        for name, now in {"a.mp4": "started", "c.mov": "done", "p.jpg": "done", "sub/b.mkv": "started"}.items():
            store.put(Entry(key=name, source=f"../{name}", target=name, run=store.run, status=now))
    status(tmp_path)
    lines = ["a.mp4: 120 frames done", "sub/b.mkv: 120 frames done", "1 photo and 3 videos: 2 started, 2 done"]
    assert capsys.readouterr().out.splitlines() == lines


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(InputError, match="no job store"):
        status(tmp_path)
