"""Lists of photos and faces that strangers wrote: what is wrong with them is said in one line that names the file."""

import json

import cv2
import numpy as np
import pytest

from revisage.errors import RecipeError
from revisage.training.embedded.labeled_photos import (
    POINTS,
    BoxFromLandmarks,
    read_crops,
    read_false_positives,
    read_photos,
)

FACE = {"box": [1, 2, 9, 9], "landmarks": [[1, 2]] * 5}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    for path in (tmp_path / "own" / "a.png", tmp_path / "outside.png"):
        path.write_bytes(cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes())
    return tmp_path / "own"


def photos(folder, content):
    (folder / "labels.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return read_photos(folder / "labels.json", [""])


def crops(folder, text):
    (folder / "index.csv").write_text(text)
    box = BoxFromLandmarks(np.ones((12, 4), np.float32), np.random.default_rng(0).random((12, 5, 2), np.float32))
    return read_crops(folder / "index.csv", [""], box)


HEADER = f"file,{','.join(f'{point}_{axis}' for point in POINTS for axis in 'xy')}"


def test_photos_are_read_with_their_faces(folder):
    (photo,) = photos(folder, {"a.png": {"faces": [FACE]}})
    assert photo.boxes.tolist() == [[1, 2, 9, 9]]
    assert photo.landmarks.shape == (1, 5, 2)


def test_a_photo_without_faces_is_one(folder):
    (photo,) = photos(folder, {"a.png": {"faces": []}})
    assert (photo.boxes.shape, photo.landmarks.shape) == ((0, 4), (0, 5, 2))


@pytest.mark.parametrize("name", ["../outside.png", "x/../../outside.png", "{parent}/outside.png"])
def test_a_list_names_images_of_its_own_folder_only(folder, name):
    name = name.format(parent=folder.parent)
    with pytest.raises(RecipeError, match="a list names images of its own folder only"):
        photos(folder, {name: {"faces": [FACE]}})
    with pytest.raises(RecipeError, match="a list names images of its own folder only"):
        crops(folder, f"{HEADER}\n{name},{','.join('1234567890')}\n")


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "[" * 50_000,
            "[]",
            "3",
            '{"a.png": 3}',
            '{"a.png": {}}',
            '{"a.png": {"faces": 3}}',
            '{"a.png": {"faces": [3]}}',
        ),
        *({"a.png": {"faces": [{"box": [1, 2, 3, 4]}]}}, {"a.png": {"faces": [FACE | {"box": [1, 2, 3]}]}}),
        *({"a.png": {"faces": [FACE | {"box": [1, 2, 3, value]}]}} for value in ("x", None, float("nan"), 1e999, [])),
        *(
            {"a.png": {"faces": [FACE | {"landmarks": [[1, 2]] * 4}]}},
            {"nothing.png": {"faces": []}},
            {"a\0b": {"faces": []}},
        ),
    ],
    ids=lambda content: str(content)[:40],
)
def test_labels_that_are_none_are_refused(folder, content):
    with pytest.raises(RecipeError, match=r"labels\.json|nothing\.png|no file has a name like this"):
        photos(folder, content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file\na.png\n",
        f"{HEADER}\nx_a.png,1\n",
        f"{HEADER}\nx_a.png,{','.join('x234567890')}\n",
        "\x00",
        f"{HEADER}\n,\n",
        f"{HEADER}\na.png,{','.join(['nan'] * 10)}\n",
    ],
    ids=lambda text: text[-20:],
)
def test_lists_of_crops_that_are_none_are_refused(folder, text):
    if text in ("", "\x00"):
        assert crops(folder, text) == []
    else:
        with pytest.raises(RecipeError, match=r"index\.csv"):
            crops(folder, text)


def test_a_list_that_is_no_text_is_refused(folder):
    (folder / "index.csv").write_bytes(b"file\n\xff\xfe")
    with pytest.raises(RecipeError, match=r"index\.csv"):
        read_crops(folder / "index.csv", [""], None)


@pytest.mark.parametrize(
    "content", ["3", '{"a": 3}', '{"a": [{}]}', '{"a": [{"box": [1]}]}', '{"a": [{"box": "abcd"}]}', "["]
)
def test_detections_that_are_none_are_refused(folder, content):
    (folder / "found.json").write_text(content)
    with pytest.raises(RecipeError, match=r"found\.json"):
        read_false_positives(folder / "found.json", photos(folder, {"a.png": {"faces": [FACE]}}))


def test_boxes_that_touch_no_face_are_mistakes(folder):
    (folder / "found.json").write_text(json.dumps({"a.jpg": [{"box": [1, 1, 3, 3]}, {"box": [12, 12, 15, 15]}]}))
    found = read_false_positives(folder / "found.json", photos(folder, {"a.png": {"faces": [FACE]}}))
    assert found["a"].tolist() == [[12, 12, 15, 15]]
