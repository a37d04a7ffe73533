"""No run replaces an original, however output and input lie, and whatever ``--overwrite`` says."""

import os

import pytest
from plain_restorer import digests_of, paths_of, photo, run

from revisage.batch import collect
from revisage.batch.names import Originals
from revisage.images import read_image

REFUSED = "would replace an original"


@pytest.fixture
def album(tmp_path):
    for name in ("a.png", "sub/b.png"):
        photo(tmp_path / "album" / name)
    return tmp_path / "album"


def errors_of(outcomes):
    return [outcome.error for outcome in outcomes]


@pytest.mark.parametrize("resume", [True, False])
def test_output_is_the_input(tmp_path, album, resume):
    before = digests_of(album)
    outcomes = run(tmp_path, collect([album], leave_out=album), output=album, overwrite=True, resume=resume)
    assert [REFUSED in error for error in errors_of(outcomes)] == [True, True]
    assert digests_of(album) == before


def test_output_is_the_input_by_a_link(tmp_path, album):
    before = digests_of(album)
    (tmp_path / "out").symlink_to(album)
    outcomes = run(tmp_path, collect([album], leave_out=tmp_path / "out"), overwrite=True)
    assert all(REFUSED in error for error in errors_of(outcomes))
    assert digests_of(album) == before


def test_output_inside_the_input(tmp_path, album):
    before = digests_of(album)
    for _ in range(2):
        outcomes = run(album, collect([album], leave_out=album / "out"), overwrite=True)
        assert errors_of(outcomes) == ["", ""]
    now = digests_of(album)
    assert {name: now[name] for name in before} == before
    assert paths_of(album / "out") == ["a.png", "sub/b.png"]


def test_input_inside_the_output(tmp_path):
    source = photo(tmp_path / "out" / "x" / "a.png")
    (outcome,) = run(tmp_path, collect([tmp_path / "out" / "x"], leave_out=tmp_path / "out"), overwrite=True)
    assert not outcome.error
    assert read_image(source).max() == 100
    assert paths_of(tmp_path / "out") == ["a.png", "x/a.png"]


def test_a_folder_of_the_output_is_a_link_to_the_input(tmp_path, album):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(album / "sub")
    before = digests_of(album)
    outcomes = run(tmp_path, collect([album], leave_out=tmp_path / "out"), overwrite=True)
    assert [REFUSED in error for error in errors_of(outcomes)] == [False, True]
    assert digests_of(album) == before


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_result_is_a_link_to_the_photo(tmp_path, album, link):
    (tmp_path / "out").mkdir()
    link(album / "a.png", tmp_path / "out" / "a.png")
    outcomes = run(tmp_path, collect([album]), overwrite=True)
    assert [REFUSED in error for error in errors_of(outcomes)] == [True, False]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_result_is_a_link_to_another_photo(tmp_path, album, link):
    (tmp_path / "out").mkdir()
    link(album / "sub" / "b.png", tmp_path / "out" / "a.png")
    before = digests_of(album)
    run(tmp_path, collect([album]), overwrite=True)
    assert digests_of(album) == before


def test_another_named_photo_is_in_the_way(tmp_path):
    paths = [photo(tmp_path / "x" / "a.png"), photo(tmp_path / "out" / "a.png")]
    outcomes = run(tmp_path, paths, overwrite=True)
    assert REFUSED in errors_of(outcomes)[0]
    assert read_image(paths[1]).max() == 100


def test_names_in_another_case_are_told_by_what_they_lead_to(tmp_path):
    """On a file system that ignores case, ``A.PNG`` leads to ``a.png``, as this hard link does anywhere."""
    source = photo(tmp_path / "out" / "a.png")
    os.link(source, tmp_path / "out" / "A.PNG")
    originals = Originals(collect([source]), tmp_path / "out")
    assert originals.would_overwrite_input(tmp_path / "out" / "A.PNG", tmp_path / "elsewhere.png")


def test_photo_is_written_beside_itself_under_another_name_again_and_again(tmp_path):
    """The first run's results are no photos to the second."""
    photo(tmp_path / "out" / "a.png")
    for level in (0, 1):
        outcomes = run(tmp_path, collect([tmp_path / "out"], leave_out=tmp_path / "out"), suffix="new", resume=True)
        assert [(outcome.path.name, outcome.up_to_date, outcome.error) for outcome in outcomes] == [
            ("a.png", bool(level), "")
        ]
        assert paths_of(tmp_path / "out") == ["a.png", "a_new.png"]
