"""``revisage prepare`` as people call it: real processes, the embedded detector, good and bad photos."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import COMMAND, revisage
from portrait import PORTRAIT

from revisage.images import read_image, write_image
from revisage.jobs.store import read_entries

SETTINGS = ["--min-width", "60", "--size", "256"]
REJECTED = {
    "b copy.jpg": "duplicate photo",
    "c again.jpg": "duplicate face",
    "d blurred.png": "blurred",
    "e dark.png": "too dark",
    "f tiny.png": "too small",
    "g half.png": "cut off",
    "h gradient.png": "no face",
    "i text.jpg": "not settled",
    "j truncated.jpg": "not settled",
}


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder):
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(".")}


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my album")
    head = np.ascontiguousarray(read_image(PORTRAIT)[:260, 90:370])
    for name in ("a Großmutter.jpg", "b copy.jpg", "j truncated.jpg"):
        write_image(folder / name, head)
    write_image(folder / "c again.jpg", cv2.resize(head, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA))
    write_image(folder / "d blurred.png", cv2.GaussianBlur(head, (0, 0), 3))
    write_image(folder / "e dark.png", head // 12)
    write_image(folder / "f tiny.png", cv2.resize(head, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA))
    write_image(folder / "g half.png", head[50:170, 80:200])
    write_image(folder / "h gradient.png", np.arange(240, dtype=np.uint8)[None, :, None].repeat(200, 0).repeat(3, 2))
    (folder / "i text.jpg").write_text("a shopping list")
    (folder / "j truncated.jpg").write_bytes((folder / "j truncated.jpg").read_bytes()[:3000])
    write_image(folder / "k other.jpg", np.ascontiguousarray(head[:, ::-1]))
    return folder


@pytest.fixture(scope="module")
def whole(album, tmp_path_factory):
    """The album in one run with one worker."""
    output = tmp_path_factory.mktemp("whole")
    return revisage("prepare", album, "-o", output, *SETTINGS, "--workers", 1), output


def test_good_faces_are_kept_and_listed(whole):
    _, output = whole
    kept = rows(output / "manifest.csv")
    assert [Path(row["photo"]).name for row in kept] == ["a Großmutter.jpg", "k other.jpg"]
    for row in kept:
        assert read_image(output / row["file"]).shape == (256, 256, 3)
        eye, other = float(row["eye1_x"]), float(row["eye2_x"])
        assert abs(eye - 96) < 8
        assert abs(other - 160) < 8
        assert abs(float(row["left_eye_half"]) - 0.21 * (other - eye)) < 1


@pytest.mark.parametrize(("name", "reason"), REJECTED.items())
def test_the_others_are_rejected_for_a_reason(whole, name, reason):
    given = [row["reason"] for row in rows(whole[1] / "rejected.csv") if Path(row["photo"]).name == name]
    assert len(given) == 1
    assert given[0].startswith(reason)


def test_bad_photos_get_a_line_each_and_an_exit_code(whole, album):
    done, _ = whole
    assert done.returncode == 1
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["error", f"cannot read {album / 'i text.jpg'}"],
        ["error", f"cannot read {album / 'j truncated.jpg'}"],
    ]


def test_closing_lines_count(whole):
    *_, photos, rejected = whole[0].stdout.splitlines()
    assert photos.startswith("11 photos: 9 done, 2 failed; 2 new crops in ")
    assert rejected.startswith("rejected: ")
    assert "1 blurred" in rejected


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_at_any_moment_it_goes_on_to_the_same_result(whole, album, tmp_path):
    """And with another number of workers."""
    command = [*COMMAND, "prepare", str(album), "-o", str(tmp_path / "out"), *SETTINGS, "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first photo is settled
        process.send_signal(signal.SIGKILL)
    settled = len(list(read_entries(tmp_path / "out")))
    assert 1 <= settled < 9
    again = revisage("prepare", album, "-o", tmp_path / "out", *SETTINGS, "--workers", 3)
    assert f"{settled} done before" in again.stdout
    assert contents(tmp_path / "out") == contents(whole[1])


def test_a_wrong_call_is_exit_code_2_and_no_traceback(tmp_path):
    done = revisage("prepare", PORTRAIT, "--size", "huge", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == "error: --size takes a number from 16 to 2048, or native, not 'huge'\n"
    assert not (tmp_path / "out").exists()
