"""A run that is killed loses nothing: the next one finishes, every result is whole, and no half file is left."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from plain_restorer import UNCHANGED, counting, digests_of, paths_of, run

from revisage.batch import Status, collect, read_entries
from revisage.images import read_image, write_image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
PHOTOS = 40


@pytest.fixture
def album(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        noise = rng.integers(0, 256, (30, 40, 3), np.uint8)
        noise[0, 0, 0] = number
        write_image(tmp_path / "album" / f"{number // 10}" / f"{number:02d}.png", noise)
    return tmp_path / "album"


def begin(tmp_path, moment, photo):
    command = [sys.executable, str(Path(__file__).with_name("killed_run.py")), str(tmp_path / "album")]
    return subprocess.Popen([*command, str(tmp_path / "out"), moment, photo], stdout=subprocess.PIPE, text=True)


def leftovers(tmp_path):
    return [path for path in (tmp_path / "out").rglob(".revisage-*") if path.is_file()]


def finish(tmp_path, album):
    """Go on in this process; return the numbers of the photos that it restored."""
    restorer, seen = counting(UNCHANGED)
    outcomes = run(tmp_path, collect([album]), how=restorer, resume=True)
    assert not any(outcome.error for outcome in outcomes)
    assert len(outcomes) == PHOTOS
    return seen


def assert_whole(tmp_path, album):
    assert paths_of(tmp_path / "out") == paths_of(album)
    assert not leftovers(tmp_path)
    assert all(np.array_equal(read_image(album / n), read_image(tmp_path / "out" / n)) for n in paths_of(album))


@pytest.mark.parametrize("moment", ["writing", "renaming", "noting"])
def test_killed_at_the_worst_moment(tmp_path, album, moment):
    before = digests_of(album)
    process = begin(tmp_path, moment, "25")
    said, _ = process.communicate(timeout=600)
    assert process.returncode == -9
    assert "25.png" not in said
    assert leftovers(tmp_path) or moment == "noting"
    done = {entry.source for entry in read_entries(tmp_path / "out") if entry.status == Status.DONE}
    assert len(done) >= len(said.split())
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/[0-9]*.png")}
    again = finish(tmp_path, album)
    assert_whole(tmp_path, album)
    assert len(again) <= PHOTOS - len(done)
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    assert digests_of(album) == before


@pytest.mark.parametrize("lines", [1, 17])
def test_killed_at_any_time(tmp_path, album, lines):
    process = begin(tmp_path, "none", "")
    for _ in range(lines):
        process.stdout.readline()
    time.sleep(0.003 * lines)
    process.kill()
    process.communicate(timeout=600)
    assert len(finish(tmp_path, album)) <= PHOTOS - lines
    assert_whole(tmp_path, album)
