"""Which pictures belong together: by stem, none left over."""

import pytest

from revisage.errors import InputError
from revisage.evaluation.pairs import find_pairs


@pytest.fixture
def tree(tmp_path):
    """Make empty files by path."""

    def make(*paths):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

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
        ("lq", "a", "gt/a.jpg", "lq/a.webp", None),
        ("lq", "b", "gt/b.png", "lq/b.jpg", None),
    ]


def test_each_folder_of_degraded_pictures_is_a_set(tree):
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
        (("gt/a.png", "lq/a.png", "lq/a.jpg"), r"a\.jpg and a\.png have one name"),
        (("gt/a.png", "lq/a.png", "lq/a_00.png"), r"both belong to the original a\.png"),
        (("gt/a.png", "lq/notes.txt"), "no pictures in .*lq"),
        (("gt/a.png",), "no folder of pictures at .*lq"),
        (("lq/a.png",), "no folder of pictures at .*gt"),
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
