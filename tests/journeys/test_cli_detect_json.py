"""``revisage detect``, ``--json`` of every command that has it, and a summary that tells the truth."""

import json
import re
import shutil

import numpy as np
import pytest
from command import revisage
from portrait import head

from locations import ROOT
from revisage.images import read_image, write_image

PHOTO = ROOT / "examples" / "photo.jpg"
FACE_FIELDS = {"number", "box", "landmarks", "score"}
RESTORED_FIELDS = FACE_FIELDS | {"status", "reason", "strength", "similarity", "change"}


def objects(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    """Two people side by side, the right one larger."""
    small = np.pad(head()[::2, ::2], ((50, 50), (50, 50), (0, 0)), mode="edge")
    path = tmp_path_factory.mktemp("row") / "row.png"
    write_image(path, np.hstack([small, head()]))
    return path


def test_detect_lists_faces_from_left_to_right(row):
    done = revisage("detect", row)
    assert done.returncode == 0, done.stderr
    title, first, second = done.stdout.splitlines()
    assert title == f"{row}: 2 faces"
    assert first.split()[:2] == ["0", "box"]
    assert float(first.split()[2].split(",")[0]) < 200 < float(second.split()[2].split(",")[0])
    assert "score 0." in first
    assert len(first.split("landmarks ")[1].split()) == 5


def test_damage_is_one_line_and_taken_on_request(tmp_path):
    whole = PHOTO.read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[:-2])
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) * 9 // 10])
    done = revisage("detect", tmp_path)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == f"warning: {tmp_path / 'a.jpg'}: it has no end mark; no pixel is missing"
    assert "use --allow-damaged" in second
    assert revisage("detect", tmp_path / "b.jpg", "--allow-damaged").returncode == 0


def test_restore_counts_faces_as_detect_lists_them(row, tmp_path):
    (listed,) = objects(revisage("detect", row, "--json", "--order", "size"))
    assert set(listed["faces"][0]) == FACE_FIELDS
    assert listed["faces"][0]["box"][0] > 200  # the larger one
    done = revisage("restore", row, "--json", "--order", "size", "--faces", "0", "-o", tmp_path, "--scale", "1")
    (restored,) = objects(done)
    for name in ("box", "landmarks", "score"):
        assert restored["faces"][0][name] == listed["faces"][0][name]
    assert [face["status"] for face in restored["faces"]] == ["restored", "not selected"]


def test_detect_draws_numbered_boxes_and_never_on_the_photo_itself(row, tmp_path):
    before = row.read_bytes()
    done = revisage("detect", row, "--draw", "-o", tmp_path)
    assert done.stdout.startswith(f"{row}: 2 faces -> {tmp_path / 'row.png'}")
    drawn, photo = read_image(tmp_path / "row.png"), read_image(row)
    assert drawn.shape == photo.shape
    assert 0 < (drawn != photo).any(axis=2).mean() < 0.2
    refused = revisage("detect", row, "--draw", "-o", row.parent)
    assert refused.returncode == 1
    assert "would replace the photo" in refused.stderr
    assert row.read_bytes() == before


def test_detect_draws_on_no_other_photo_of_the_run(row, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "out").mkdir()
    for folder in ("a", "out"):
        shutil.copy(row, tmp_path / folder / "x.png")
    before = row.read_bytes()
    done = revisage("detect", tmp_path / "a" / "x.png", tmp_path / "out" / "x.png", "--draw", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert (
        f"{tmp_path / 'a' / 'x.png'}: the drawing would replace the photo {tmp_path / 'out' / 'x.png'}" in done.stderr
    )
    assert (tmp_path / "out" / "x.png").read_bytes() == before
    for _ in range(2):  # a drawing of a run before is none
        again = revisage("detect", tmp_path / "a" / "x.png", "--draw", "-o", tmp_path / "drawn")
        assert again.returncode == 0, again.stderr


def test_detect_names_what_cannot_be_read_and_goes_on(row, tmp_path):
    shutil.copy(row, tmp_path / "b.png")
    (tmp_path / "a.png").write_text("no image")
    done = revisage("detect", tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.splitlines()[-1] == "2 files: 2 faces, 1 failed"


def test_restore_prints_an_object_for_each_photo_and_nothing_else(tmp_path):
    shutil.copy(PHOTO, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("no image")
    call = "restore", tmp_path / "a.jpg", tmp_path, "-o", tmp_path / "out", "--json", "--min-identity", "0.1"
    done = revisage(*call)
    assert done.returncode == 1
    good, bad = objects(done)
    assert (good["path"], good["target"]) == (str(tmp_path / "a.jpg"), str(tmp_path / "out" / "a.jpg"))
    assert (good["status"], good["error"], good["left_out"], good["warnings"]) == ("done", "", [], [])
    assert good["seconds"] > 0
    (face,) = good["faces"]
    assert set(face) == RESTORED_FIELDS
    assert face["change"] > 1.5
    assert face["strength"] == 1
    assert 0.1 < face["similarity"] <= 1
    assert (bad["status"], bad["faces"], bad["target"]) == ("failed", [], None)
    assert "not an image" in bad["error"]
    assert [one["status"] for one in objects(revisage(*call))] == ["up to date", "failed"]


def test_a_rerun_of_what_is_up_to_date_is_one_line(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    call = "restore", tmp_path, "-o", tmp_path / "out"
    assert len(revisage(*call).stdout.splitlines()) == 3
    assert revisage(*call).stdout == f"2 photos: 2 up to date; results in {tmp_path / 'out'}\n"
    assert len(revisage(*call, "-v").stdout.splitlines()) == 3
    assert revisage(*call, "-q").stdout == ""


def test_a_summary_says_how_much_faces_changed(tmp_path):
    done = revisage("restore", PHOTO, "-o", tmp_path)
    assert ": 1 face, 1 restored\n" in done.stdout
    assert re.search(r"1 of 1 face restored, changed by [3-9]\.\d", done.stdout)
    assert "little" not in done.stdout


def test_a_small_gain_is_called_one(tmp_path):
    done = revisage("restore", PHOTO, "-o", tmp_path, "--strength", "0.1")
    assert ": 1 face, 1 restored (little to restore)\n" in done.stdout
    assert re.search(r"changed by 0\.\d of 255 on average: little to restore", done.stdout)


def test_doctor_and_models():
    (told,) = objects(revisage("doctor", "--json", "--device", "cpu"))
    assert told["facts"]["device"] == "cpu"
    assert told["faults"] == []
    models = {one["name"]: one for one in objects(revisage("models", "--json"))}
    assert models["embedded"]["present"] is True
    assert models["embedded"]["role"] == "restorer"
    assert models["gfpgan-1.4"]["license"]["code"]


def test_evaluate_of_pairs_smaller_than_the_models_crops(tmp_path):
    pytest.importorskip("torch")
    for kind in ("gt", "lq"):
        write_image(tmp_path / "data" / kind / "a.png", head()[::2, ::2])
    call = "evaluate", "embedded", tmp_path / "data", "-o", tmp_path / "out", "--metrics", "psnr"
    (told,) = objects(revisage(*call, "--json"))
    assert (told["size"], told["pairs"], told["resized"]) == (512, 1, 1)
    (versions,) = told["sets"].values()
    assert versions["restored"]["psnr"] > 20
    assert "1 pair resized: originals of 100 x 100 to 512, the size of embedded" in revisage(*call).stdout
