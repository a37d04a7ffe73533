"""Versions of images: found by name, brought to one size, cut out at faces."""

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from revisage.comparison.versions import Row, close_ups, fit, match_versions, name_versions, read_versions
from revisage.errors import InputError
from revisage.images import write_image
from revisage.images.icc import make_rgb_profile


def plain(height, width, value=100):
    return np.full((height, width, 3), value, np.uint8)


def save(path, image):
    write_image(path, image)
    return path


def test_files_are_versions_of_one_image(tmp_path):
    paths = [save(tmp_path / name, plain(4, 4)) for name in ("before.png", "after.png")]
    assert match_versions(paths) == ({"before.png": paths}, [])


def test_folders_are_matched_by_names_without_extension(tmp_path):
    for name in ("a/one.png", "a/two.png", "b/one.jpg", "b/three.jpg"):
        save(tmp_path / name, plain(4, 4))
    complete, incomplete = match_versions([tmp_path / "a", tmp_path / "b"])
    assert complete == {"one": [tmp_path / "a" / "one.png", tmp_path / "b" / "one.jpg"]}
    assert sorted(incomplete) == ["three", "two"]


def test_folders_without_a_common_name_are_refused(tmp_path):
    for name in ("a/one.png", "b/two.png"):
        save(tmp_path / name, plain(4, 4))
    with pytest.raises(InputError, match="no image is in all of"):
        match_versions([tmp_path / "a", tmp_path / "b"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere\.png"):
        match_versions([save(tmp_path / "a.png", plain(4, 4)), tmp_path / "nowhere.png"])


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["in/photo.jpg", "out/photo-restored.png"], ["photo", "photo-restored"]),
        (["in/photo.jpg", "out/photo.png"], ["in", "out"]),
        (["a/x/photo.jpg", "b/x/photo.jpg"], ["a/x/photo.jpg", "b/x/photo.jpg"]),
    ],
)
def test_labels_tell_versions_apart(paths, labels):
    assert name_versions(list(map(Path, paths))) == [str(Path(label)) for label in labels]


def test_images_of_different_shape_are_no_versions(tmp_path):
    paths = [save(tmp_path / "a.png", plain(10, 20)), save(tmp_path / "b.png", plain(20, 20))]
    with pytest.raises(InputError, match=r"b.png is not a version of the same image: it has 20 x 20 pixels"):
        read_versions("a", paths)


def test_colors_are_those_of_the_profile(tmp_path):
    """A photo in a space of plain gamma 1 has the values of light; on screen they are brighter."""
    profile = make_rgb_profile("linear", 1.0, (0.3127, 0.329), ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06)))
    PIL.Image.fromarray(plain(8, 8, 55)).save(tmp_path / "linear.png", icc_profile=profile)
    row = read_versions("x", [tmp_path / "linear.png", save(tmp_path / "srgb.png", plain(8, 8, 128))])
    assert np.abs(row.images[0].astype(int) - row.images[1]).max() <= 1


def test_a_row_gets_the_size_of_its_largest_image_up_to_a_limit():
    row = Row("x", (plain(30, 40), plain(60, 80)))
    assert [image.shape for image in fit(row, 200).images] == [(60, 80, 3)] * 2
    assert [image.shape for image in fit(row, 40).images] == [(30, 40, 3)] * 2


@pytest.mark.parametrize("size", [16, 64])
def test_a_close_up_shows_the_same_spot_of_every_version(size):
    """A blurred spot at the center of the box, in an image and in one that is enlarged threefold."""
    small = np.zeros((60, 80, 3), np.float32)
    small[30, 50] = 255
    small = cv2.GaussianBlur(small, (0, 0), 2) * 20
    large = cv2.resize(small, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    images = tuple(np.clip(image, 0, 255).astype(np.uint8) for image in (small, large))
    (row,) = close_ups(Row("x", images, (np.array([40, 20, 60, 40], np.float32),)), size)
    assert row.name == "x, face 0"
    ys, xs = np.mgrid[:size, :size]
    for image in row.images:
        assert image.shape == (size, size, 3)
        weight = image[..., 0] / image[..., 0].sum()
        assert (weight * xs).sum() == pytest.approx((size - 1) / 2, abs=0.1)
        assert (weight * ys).sum() == pytest.approx((size - 1) / 2, abs=0.1)
