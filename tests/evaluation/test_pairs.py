"""Which images belong together: by stem, none left over."""

import numpy as np
import pytest

from revisage.errors import InputError
from revisage.evaluation.pairs import Pair, data_name, find_pairs, read_sample, resize, to_uint8
from revisage.images import write_image


@pytest.fixture
def tree(tmp_path):
    """Make empty files by path, in a folder of data called mine."""

    def make(*paths):
        for path in paths:
            (tmp_path / "mine" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / path).touch()
        return tmp_path / "mine"

    return make


def names(pairs, root):
    shown = []
    for pair in pairs:
        files = [str(path.relative_to(root)) if path else None for path in (pair.gt, pair.lq, pair.restored)]
        shown.append((pair.set, pair.name, *files))
    return shown


def test_pairs_are_found_by_stem_whatever_the_format(tree):
    root = tree("gt/b.png", "gt/a.jpg", "lq/a.webp", "lq/b.jpg", "lq/notes.txt", "gt/.hidden.png")
    assert names(find_pairs(root / "gt", root / "lq"), root) == [
        ("mine", "a", "gt/a.jpg", "lq/a.webp", None),
        ("mine", "b", "gt/b.png", "lq/b.jpg", None),
    ]


def test_nested_folders_pair_as_they_do_for_training(tree):
    files = ("00000/00001.png", "01000/01000.bmp")
    root = tree(*(f"{folder}/{file}" for folder in ("gt", "lq") for file in files), "lq/00000/._00001.png")
    assert names(find_pairs(root / "gt", root / "lq"), root) == [
        ("mine", file.partition(".")[0], f"gt/{file}", f"lq/{file}", None) for file in files
    ]


def test_folders_beside_the_images_do_not_count(tree):
    root = tree("gt/a.png", "gt/old/a.png", "lq/a.png", "lq/sheets/b.png")
    assert [pair.name for pair in find_pairs(root / "gt", root / "lq")] == ["a"]


def test_each_folder_of_degraded_images_is_a_set(tree):
    root = tree("gt/a.png", "lq/severe/a.png", "lq/mild/a.png")
    found = find_pairs(root / "gt", root / "lq")
    assert [(pair.set, pair.lq) for pair in found] == [
        ("mild", root / "lq/mild/a.png"),
        ("severe", root / "lq/severe/a.png"),
    ]


def test_restorations_may_carry_the_number_of_the_first_face(tree):
    root = tree("gt/a.png", "gt/b_00.png", "out/a_00.png", "out/b_00.png")
    assert names(find_pairs(root / "gt", None, root / "out"), root) == [
        ("out", "a", "gt/a.png", None, "out/a_00.png"),
        ("out", "b_00", "gt/b_00.png", None, "out/b_00.png"),
    ]


def test_restorations_go_with_the_sets(tree):
    root = tree("gt/a.png", "lq/mild/a.png", "lq/severe/a.png", "out/mild/a.png", "out/severe/a.png")
    found = find_pairs(root / "gt", root / "lq", root / "out")
    assert [(pair.set, pair.restored) for pair in found] == [
        ("mild", root / "out/mild/a.png"),
        ("severe", root / "out/severe/a.png"),
    ]


def test_a_single_set_needs_no_name(tree):
    root = tree("gt/a.png", "lq/mild/a.png", "out/a.png")
    (pair,) = find_pairs(root / "gt", root / "lq", root / "out")
    assert (pair.set, pair.restored) == ("mild", root / "out/a.png")


@pytest.mark.parametrize(("limit", "expected"), [(1, "a"), (2, "ac"), (3, "abc"), (9, "abcde")])
def test_a_limit_spreads_over_the_names(tree, limit, expected):
    root = tree(*(f"{folder}/{name}.png" for folder in ("gt", "lq") for name in "abcde"))
    assert "".join(pair.name for pair in find_pairs(root / "gt", root / "lq", limit=limit)) == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("gt/a.png", "gt/b.png", "lq/a.png"), r"b\.png has no partner in .*lq"),
        (("gt/a.png", "lq/a.png", "lq/c.png"), r"c\.png has no original"),
        (("gt/a.png", "lq/a.png", "lq/a.jpg"), r"a\.jpg and a\.png have the same stem"),
        (("gt/a.png", "lq/a.png", "lq/a_00.png"), r"both belong to the original a\.png"),
        (("gt/a.png", "lq/notes.txt"), "no images in .*lq"),
        (("gt/a.png",), "no folder of images at .*lq"),
        (("lq/a.png",), "no folder of images at .*gt"),
    ],
)
def test_what_does_not_pair_is_named(tree, files, message):
    root = tree(*files)
    with pytest.raises(InputError, match=message):
        find_pairs(root / "gt", root / "lq")


def test_originals_alone_are_nothing_to_compare(tree):
    with pytest.raises(InputError, match="nothing to compare"):
        find_pairs(tree("gt/a.png") / "gt", None)


def test_a_set_that_was_not_restored_is_named(tree):
    root = tree("gt/a.png", "lq/mild/a.png", "lq/severe/a.png", "out/mild/a.png", "out/other/a.png")
    with pytest.raises(InputError, match="the set other is only in one"):
        find_pairs(root / "gt", root / "lq", root / "out")


@pytest.mark.parametrize(("folder", "name"), [("medium", "medium"), ("medium/lq", "medium"), ("medium/gt", "medium")])
def test_a_single_set_is_called_after_the_folder_of_the_data(tmp_path, folder, name):
    assert data_name(tmp_path / folder) == name


class TestReadSample:
    @pytest.fixture
    def pair(self, tmp_path):
        write_image(tmp_path / "gt.png", np.full((30, 40, 3), 100, np.uint16) * 257)
        write_image(tmp_path / "lq.png", np.full((8, 10, 3), 50, np.uint16))
        return Pair("set", "name", tmp_path / "gt.png", tmp_path / "lq.png", tmp_path / "gt.png")

    def test_images_are_as_they_are(self, pair):
        sample = read_sample(pair)
        assert (sample.gt.shape, sample.gt.dtype, sample.gt_size) == ((30, 40, 3), np.uint8, (30, 40))
        assert sample.lq.dtype == np.uint16
        assert (sample.restored == 100).all()

    @pytest.mark.parametrize(("size", "shape"), [(20, (15, 20, 3)), (80, (60, 80, 3)), (40, (30, 40, 3))])
    def test_the_original_is_resized_to_a_longer_side(self, pair, size, shape):
        sample = read_sample(pair, size)
        assert (sample.gt.shape, sample.gt_size, sample.lq.shape) == (shape, (30, 40), (8, 10, 3))


def test_enlarging_keeps_centers_of_pixels():
    """A ramp stays a ramp: linear interpolation half a pixel in."""
    ramp = (np.arange(8, dtype=np.uint8) * 16)[None, :, None].repeat(8, axis=0).repeat(3, axis=2)
    wide = resize(ramp, 32, 32)[0, :, 0].astype(float)
    inner = (np.arange(32) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(wide[2:-2], 16 * inner[2:-2], atol=0.5)


def test_shrinking_averages():
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resize(stripes, 4, 4) == 100).all()


def test_eight_bits_are_rounded():
    assert to_uint8(np.full((1, 1, 3), 0.5, np.float32)).tolist() == [[[128, 128, 128]]]
