"""The controls of ``revisage restore`` as people use them."""

import cv2
import numpy as np
import pytest
import torch
import typer.testing
from command import revisage
from portrait import PORTRAIT, head

from revisage import RevisageError, load
from revisage.cli import app
from revisage.errors import InputError
from revisage.images import read_image, write_image
from revisage.models.nets.srvggnet import SRVGGNetCompact


def restore(*arguments):
    done = revisage("restore", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def couple(tmp_path_factory):
    """The same face twice: large on the left, small on the right."""
    photo = np.full((200, 320, 3), 128, np.uint8)
    photo[:, :200] = head()
    photo[50:150, 210:310] = cv2.resize(head(), (100, 100), interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("couple") / "photo.png"
    write_image(path, photo)
    return path


def test_a_face_is_chosen_by_its_place_among_the_saved_faces(couple, tmp_path):
    said = restore(couple, "-o", tmp_path, "--faces", "1", "--eyes", "0", "--keep-grain", "0.5", "--save-faces")
    assert "2 faces, 1 restored, 1 skipped (not selected: not among the faces asked for)" in said
    assert [path.name for path in (tmp_path / "restored_faces").iterdir()] == ["photo_01.png"]
    before, after = np.hsplit(read_image(tmp_path / "cmp" / "photo_01.png").astype(int), 2)
    changed = np.abs(after - before).max(axis=2)
    assert changed[235:245, 190:196].max() <= 2  # an eye
    assert changed[200:400, 150:350].max() > 20


def test_a_face_that_would_change_too_much_is_kept_and_the_line_says_so(couple, tmp_path):
    options = "--min-identity", "1", "--identity-action", "skip", "--scale", "1", "--min-face-size", "60"
    said = restore(couple, "-o", tmp_path, *options)
    assert "kept: restoring would change the face: similarity" in said
    assert "not selected: only" in said
    assert np.array_equal(read_image(tmp_path / "photo.png"), read_image(couple))


def test_the_background_is_enlarged_by_a_network_and_the_person_looked_for_is_found(couple, tmp_path):
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_feat=8, num_conv=1, upscale=2)
    torch.save({"params": network.state_dict()}, tmp_path / "upscaler.pth")
    said = restore(
        *(couple, "-o", tmp_path / "out", "--reference", PORTRAIT, "--roi", "0,0,200,200"),
        *("--background", tmp_path / "upscaler.pth", "--tile", "64"),
    )
    assert "2 faces, 1 restored" in said
    restorer = load("embedded", background=tmp_path / "upscaler.pth")
    expected = restorer.upscale(read_image(couple), 2)
    after = read_image(tmp_path / "out" / "photo.png")
    assert np.abs(after[:, 420:].astype(int) - expected[:, 420:]).max() <= 1
    assert np.abs(after[:, :400].astype(int) - expected[:, :400]).max() > 10


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--faces", "biggest"], "--faces: faces are all, largest, center or numbers such as 0,2, not 'biggest'"),
        (["--faces", "-1"], "whole numbers from 0"),
        (["--faces", "largest", "--only-center-face"], "only_center_face"),
        (["--min-face-size", "50", "--max-face-size", "20"], "no face is between 50 and 20 pixels wide"),
        (["--roi", "1,2,3"], "--roi: a box is x1,y1,x2,y2 in pixels, not '1,2,3'"),
        (["--roi", "9,9,3,3"], "x1 <= x2"),
        (["--identity-action", "cry"], "reduce or skip"),
        (["--reference", "none.jpg"], "none.jpg"),
    ],
)
def test_a_wrong_value_is_one_line_before_any_network_is_loaded(couple, options, says, monkeypatch):
    monkeypatch.setattr("revisage.loading.load", lambda *_, **__: pytest.fail("a network was loaded"))
    done = typer.testing.CliRunner().invoke(app, ["restore", str(couple), *options])
    assert isinstance(done.exception, InputError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--background", "gfpgan-1.4"], "not a background upscaler"),
        (["--background", "none.pth"], "no model or file 'none.pth'"),
        (["--tile", "10", "--background", "none.pth"], "at least 64"),
        (["--identity", "parsenet"], "not an identity embedder"),
        (["--identity", "arcface-resnet18", "--min-identity", "0.5", "--offline"], "arcface-resnet18 is not here"),
    ],
)
def test_a_wrong_network_is_one_line_before_the_first_photo(couple, options, says, monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    done = typer.testing.CliRunner().invoke(app, ["restore", str(couple), "-o", str(tmp_path / "out"), *options])
    assert isinstance(done.exception, RevisageError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()
