"""Eyes and mouths: the classic file, boxes, and the reference's faults with them."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisage.errors import RecipeError
from revisage.training.data.components import (
    estimate_components,
    find_components,
    mirror_components,
    read_components,
    to_boxes,
    write_components,
)

# The published sample: centre x, centre y, half side.
SAMPLE = np.array([[191.5667, 242.2942, 28.5675], [319.4767, 247.08, 23.6925], [267.7465, 355.832, 42.21]])


def test_a_landmarks_file_is_read_as_it_was_written(tmp_path):
    write_components(tmp_path / "a.pth", {"00000000": SAMPLE, "anna": SAMPLE + 1})
    found = read_components(tmp_path / "a.pth")
    assert list(found) == ["00000000", "anna"]
    np.testing.assert_array_equal(found["anna"], SAMPLE + 1)


def test_the_file_is_the_one_that_classic_tools_read(tmp_path):
    write_components(tmp_path / "a.pth", {"00000000": SAMPLE})
    content = torch.load(tmp_path / "a.pth", weights_only=False)
    assert list(content["00000000"]) == ["left_eye", "right_eye", "mouth"]
    assert all(isinstance(value, np.float64) for value in content["00000000"]["mouth"])


def test_numpy_scalars_load_without_unpickling_anything_else(tmp_path):
    """Since torch 2.6 the published file no longer loads by default, which ended component training there."""
    content = {
        "00000000": {name: list(row) for name, row in zip(("left_eye", "right_eye", "mouth"), SAMPLE, strict=True)}
    }
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.pth", weights_only=True)
    np.testing.assert_array_equal(read_components(tmp_path / "a.pth")["00000000"], SAMPLE)


def test_files_written_with_older_numpy_load_too(tmp_path):
    write_components(tmp_path / "new.pth", {"00000000": SAMPLE})
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in new.namelist():
            data = new.read(name)
            old.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core.multiarray" in (tmp_path / "old.pth").read_bytes()
    np.testing.assert_array_equal(read_components(tmp_path / "old.pth")["00000000"], SAMPLE)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


@pytest.mark.parametrize(
    "content", [{"00000000": Bomb()}, [1, 2], {"00000000": {"left_eye": [1, 2, 3]}}, {"0": {"left_eye": 3}}]
)
def test_anything_but_a_landmarks_file_is_refused(tmp_path, content, capsys):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(RecipeError, match=r"a\.pth"):
        read_components(tmp_path / "a.pth")
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"no archive", pickle.dumps({"a": 1})[:-3]])
def test_damaged_landmarks_are_named(tmp_path, data):
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(RecipeError, match=r"a\.pth"):
        read_components(tmp_path / "a.pth")
    with pytest.raises(RecipeError, match="nowhere"):
        read_components(tmp_path / "nowhere.pth")


def test_flipping_does_not_mutate_the_table():
    """The reference flipped the entries in place: the second access in the same process was wrong."""
    table = {"00000000": SAMPLE.copy()}
    mirror_components(find_components(table, "x", 0), 512)
    np.testing.assert_array_equal(table["00000000"], SAMPLE)


def test_landmarks_are_found_by_name_whatever_the_order_of_the_folder():
    """The reference looked them up by place in an unsorted listing."""
    table = {"berta": SAMPLE, "00000000": SAMPLE + 1}
    np.testing.assert_array_equal(find_components(table, "berta", 0), SAMPLE)
    np.testing.assert_array_equal(find_components(table, "anna", 0), SAMPLE + 1)
    with pytest.raises(RecipeError, match="neither anna nor 00000007"):
        find_components(table, "anna", 7)


@given(st.integers(0, 10**6))
def test_mirroring_twice_changes_nothing(seed):
    components = np.random.default_rng(seed).uniform(20, 490, (3, 3))
    np.testing.assert_allclose(mirror_components(mirror_components(components, 512), 512), components)


def test_mirrored_eyes_change_places():
    left, right, mouth = mirror_components(SAMPLE, 512)
    np.testing.assert_allclose(left, [512 - 319.4767, 247.08, 23.6925])
    np.testing.assert_allclose(right, [512 - 191.5667, 242.2942, 28.5675])
    np.testing.assert_allclose(mouth, [512 - 267.7465, 355.832, 42.21])


def test_boxes_follow_the_formula_and_only_eyes_are_enlarged():
    boxes = to_boxes(SAMPLE, 1.4)
    half = 28.5675 * 1.4
    np.testing.assert_allclose(boxes[0], [191.5667 - half + 1, 242.2942 - half + 1, 191.5667 + half, 242.2942 + half])
    np.testing.assert_allclose(boxes[2], [267.7465 - 42.21 + 1, 355.832 - 42.21 + 1, 267.7465 + 42.21, 355.832 + 42.21])
    assert boxes.dtype == np.float32


def test_components_are_estimated_from_five_landmarks():
    landmarks = np.array([[191.6, 242.3], [319.5, 247.1], [262, 300], [215, 355], [320, 357]])
    found = estimate_components(landmarks)
    np.testing.assert_allclose(found[:, 2], [26.9, 26.9, 39.9], atol=0.1)
    np.testing.assert_allclose(found[2, :2], [267.5, 356])
    assert estimate_components(landmarks / 10)[:, 2].tolist() == [16, 16, 16]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, "x", None])
def test_landmarks_that_are_no_numbers_are_refused(tmp_path, number):
    entry = {"left_eye": [1.0, 2.0, 3.0], "right_eye": [1.0, 2.0, 3.0], "mouth": [1.0, 2.0, number]}
    torch.save({"00000000": entry}, tmp_path / "a.pth")
    with pytest.raises(RecipeError, match=r"a\.pth"):
        read_components(tmp_path / "a.pth")


def test_numbers_of_other_types_are_not_made(tmp_path):
    """NumPy makes a number of any type that a pickle names: of a gigabyte, say, without a byte of it in the file."""
    torch.save({"00000000": {"left_eye": [np.zeros(1, "V9")[0]]}}, tmp_path / "a.pth")
    with pytest.raises(RecipeError, match=r"a\.pth"):
        read_components(tmp_path / "a.pth")


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int32"])
def test_every_kind_of_number_in_use_is_read(tmp_path, kind):
    row = list(np.array([1, 2, 3], kind))
    torch.save({"0": dict.fromkeys(("left_eye", "right_eye", "mouth"), row)}, tmp_path / "a.pth")
    assert read_components(tmp_path / "a.pth")["0"].tolist() == [[1, 2, 3]] * 3
