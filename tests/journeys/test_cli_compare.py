"""``revisage compare``, as a user calls it."""

import sys

import numpy as np
import pytest

from locations import PORTRAIT
from revisage.cli import main
from revisage.comparison.grid import GAP
from revisage.images import read_image, write_image


@pytest.fixture
def compare(monkeypatch, capsys):
    """compare(*arguments) -> (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["revisage", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def head(tmp_path):
    """A small photo that holds hardly more than a face."""
    write_image(tmp_path / "photos" / "head.png", read_image(PORTRAIT)[20:220:2, 125:325:2])
    return tmp_path / "photos" / "head.png"


def columns(grid, count):
    """The images in a row of a grid without labels."""
    width = (grid.shape[1] - GAP) // count - GAP
    starts = [GAP + number * (width + GAP) for number in range(count)]
    return [grid[GAP:-GAP, start : start + width] for start in starts]


def test_strengths_change_a_face_more_and_more(compare, head, tmp_path):
    code, out, err = compare(
        head, "--strengths", "0,0.5,1", "--close-up", "--labels", "", "--size", "128", "-o", tmp_path / "c.png"
    )
    assert (code, err) == (0, "")
    assert out == f"1 face in 4 versions -> {tmp_path / 'c.png'}\n"
    _, none, *others = columns(read_image(tmp_path / "c.png").astype(int), 4)
    half, full = (np.abs(other - none).mean() for other in others)
    assert 0.1 < 1.5 * half < full


def test_a_folder_becomes_a_page_and_a_broken_photo_costs_no_other(compare, head, tmp_path):
    (head.parent / "broken.png").write_bytes(head.read_bytes()[:500])
    code, out, err = compare(head.parent, "--models", "embedded,embedded", "-o", tmp_path / "c.html")
    assert code == 1
    assert out.startswith("1 photo in 3 versions")
    assert "broken.png" in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "c.html").read_text(encoding="utf-8").count("<img") == 3


def test_folders_that_are_restored_already(compare, head, tmp_path):
    write_image(tmp_path / "restored" / "head.jpg", np.full((200, 200, 3), 250, np.uint8))
    write_image(tmp_path / "restored" / "other.jpg", np.full((200, 200, 3), 250, np.uint8))
    code, out, err = compare(head.parent, tmp_path / "restored", "--labels", "", "-o", tmp_path / "c.png")
    assert (code, out) == (0, f"1 photo in 2 versions -> {tmp_path / 'c.png'}\n")
    assert err == "warning: 1 image not in every folder: other\n"
    assert (columns(read_image(tmp_path / "c.png"), 2)[1] == 250).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{photo}", "-o", "out.txt"), "a comparison is .html, or an image of the formats"),
        (("{photo}", "-o", "{photo}"), "is one of the inputs"),
        (("{photo}", "--strengths", "0,x"), "--strengths are numbers such as 0.25,0.5,1, not 'x'"),
        (("{photo}", "--strengths", "2"), "strength must be between 0 and 1, not 2"),
        (("{photo}", "--models", "gfpgan-1.9"), "did you mean"),
        (("{photo}", "--labels", "a"), "1 label for 2 versions: original, restored"),
        (("{photo}", "{photo}", "--strengths", "1"), "to restore several photos, give their folder"),
        (("nowhere",), "no such file or folder: nowhere"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(compare, head, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = compare(*(argument.format(photo=head) for argument in arguments))
    assert code in (1, 2)
    (line,) = err.splitlines()
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_close_up_without_a_face_says_so(compare, tmp_path):
    write_image(tmp_path / "wall.png", np.full((80, 80, 3), 120, np.uint8))
    code, _, err = compare(tmp_path / "wall.png", "--close-up", "-o", tmp_path / "c.png")
    assert (code, err) == (2, f"error: nothing to compare: no face is found in {tmp_path / 'wall.png'}\n")
