"""``revisage restore`` over a folder, again and again, and ``revisage status``."""

import json

import numpy as np
import pytest
from command import revisage

from revisage.images import write_image


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same call twice; meanwhile a photo came, and one of the results was lost."""
    folder = tmp_path_factory.mktemp("resume")
    for name in ("a.png", "sub/b.png", "c.png"):
        write_image(folder / "album" / name, np.full((20, 30, 3), 90, np.uint8))
    (folder / "album" / "bad.png").write_text("no")
    call = "restore", folder / "album", "-o", folder / "out"
    first = revisage(*call)
    write_image(folder / "album" / "new.png", np.full((20, 30, 3), 90, np.uint8))
    (folder / "out" / "c.png").unlink()
    return folder, first, revisage(*call)


def test_the_first_run_does_all(runs):
    assert runs[1].stdout.splitlines()[-1].startswith("4 photos: 3 done, 1 failed")


def test_the_second_run_does_what_is_missing(runs):
    folder, _, second = runs
    done = "-> {}: no faces"
    assert f"{folder}/album/a.png" not in second.stdout  # up to date: counted in the last line
    assert f"{folder}/album/c.png {done.format(folder / 'out' / 'c.png')}" in second.stdout
    assert f"{folder}/album/new.png {done.format(folder / 'out' / 'new.png')}" in second.stdout
    assert second.stdout.splitlines()[-1].startswith("5 photos: 2 done, 2 up to date, 1 failed")
    assert second.returncode == 1


def test_status_counts_and_says_what_failed(runs):
    said = revisage("status", runs[0] / "out")
    assert said.returncode == 1
    bad, counts = said.stdout.splitlines()
    assert bad.startswith(f"cannot read {runs[0]}/album/bad.png: not an image")
    assert counts == "5 photos: 4 done, 1 failed; finished"


def test_status_as_json(runs):
    rows = [json.loads(line) for line in revisage("status", runs[0] / "out", "--json").stdout.splitlines()]
    assert [(row["source"], row["status"]) for row in rows] == [
        ("../album/a.png", "done"),
        ("../album/bad.png", "failed"),
        ("../album/c.png", "done"),
        ("../album/new.png", "done"),
        ("../album/sub/b.png", "done"),
    ]


def test_status_of_any_other_folder_is_a_wrong_call(runs):
    said = revisage("status", runs[0] / "album")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "no job store in" in said.stderr


def test_no_store_where_none_is_wanted(runs, tmp_path):
    revisage("restore", runs[0] / "album" / "sub", "-o", tmp_path / "out", "--no-resume")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
