"""``revisage restore`` called as the classic ``inference_gfpgan.py`` was."""

import sys

import cv2
import pytest
from portrait import head

from revisage.cli import main
from revisage.images import read_image, write_image


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs ``revisage ...`` in this process: run("restore -i photo.jpg") -> (exit code, stdout, stderr)."""

    def call(line):
        monkeypatch.setattr(sys, "argv", ["revisage", *line.split()])
        with pytest.raises(SystemExit) as left:
            main()
        return (left.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A folder with a small portrait, in the current one."""
    monkeypatch.chdir(tmp_path)
    small = cv2.resize(head(), (100, 100), interpolation=cv2.INTER_AREA)
    write_image(tmp_path / "inputs" / "whole_imgs" / "10045.png", small)
    return tmp_path


def test_the_classic_call_gives_the_classic_folders(run, inputs):
    code, _, errors = run("restore -i inputs/whole_imgs -o results -s 2 --suffix x --only_center_face --ext jpg -w 0.5")
    assert (code, errors) == (0, "")
    images = {str(path.relative_to(inputs / "results")) for path in (inputs / "results").rglob("*.[pj][np]g")}
    assert images == {
        "restored_imgs/10045_x.jpg",
        "cropped_faces/10045_00.png",
        "restored_faces/10045_00_x.png",
        "cmp/10045_00.png",
    }
    assert read_image(inputs / "results" / "restored_imgs" / "10045_x.jpg").shape == (200, 200, 3)


def test_an_unknown_version_is_one_line_and_exit_code_2(run, inputs):
    code, output, errors = run("restore -i inputs/whole_imgs -v 2")
    assert (code, output) == (2, "")
    assert errors.startswith("error: unknown version '2'; choose one of 1, 1.2")
    assert len(errors.splitlines()) == 1


def test_a_version_that_is_not_here_is_one_line_that_says_how_to_get_it(run, inputs, monkeypatch):
    monkeypatch.setenv("REVISAGE_OFFLINE", "1")
    monkeypatch.setenv("REVISAGE_CACHE", str(inputs / "cache"))
    code, _, errors = run("restore -i inputs/whole_imgs -v 1.4")
    assert code == 1
    assert errors.startswith(
        "error: gfpgan-1.4 is not here and downloads are off; to download it manually, get https://"
    )
    assert not (inputs / "cache").exists()
