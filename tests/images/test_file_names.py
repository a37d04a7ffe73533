"""Names of files as people and systems make them."""

import ast
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import revisage
from revisage.errors import ImageError
from revisage.images import read_image, read_profile, write_image

IMAGE = np.tile(np.arange(0, 240, 4, np.uint8)[:, None, None], (1, 40, 3))

NAMES = {
    "emoji": "\U0001f468‍\U0001f469‍\U0001f467 1",
    "combining characters": "Ame\u0301lie",
    "composed characters": "Am\u00e9lie",
    "other scripts": "祖母の写真 बा Ωμέγα",
    "right to left": "תמונה صورة",
    "spaces": "  my  photo ",
    "leading dash": "--output",
    "wildcards": "a[1]{b}'c' $HOME;&",
    "percent": "100%20%s",
    "dots": "a..b.",
    "255 bytes": "x" * 251,
    "255 bytes of emoji": "\U0001f600" * 62 + "abc",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".bmp"])
def test_a_photo_of_any_name(tmp_path, name, extension):
    path = tmp_path / f"{name}{extension}"
    if len(os.fsencode(path.name)) > 255 or (os.name == "nt" and name == NAMES["wildcards"]):
        pytest.skip("not a name on this system")
    write_image(path, IMAGE)
    write_image(path, read_image(path), like=path, preserve_mtime=True)
    assert [os.fsencode(entry.name) for entry in tmp_path.iterdir()] == [os.fsencode(path.name)]
    assert np.abs(read_image(path).astype(int) - IMAGE).mean() < 2
    assert read_profile(path) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.png")
    write_image(path, IMAGE)
    assert [os.fsencode(entry.name) for entry in tmp_path.iterdir()] == [b"caf\xe9 \xff.png"]
    assert np.array_equal(read_image(path), IMAGE)
    path.write_bytes(b"nothing")
    with pytest.raises(ImageError, match="not an image"):
        read_image(path)


def test_names_are_never_given_to_opencv():
    """Its reader knows only the names of the system's old code page, and says nothing when it fails."""
    source, readers = (
        Path(revisage.__file__).parent,
        {"imread", "imreadmulti", "imwrite", "VideoCapture", "VideoWriter"},
    )
    for path in source.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert not {node.attr for node in nodes if isinstance(node, ast.Attribute)} & readers, path
