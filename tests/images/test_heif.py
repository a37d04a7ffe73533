"""HEIC images, with the optional package and without it."""

import sys

import numpy as np
import PIL.Image
import pytest
from PIL.ExifTags import Base

from revisage.errors import ImageError, OutputError
from revisage.images import read_image, write_image

pillow_heif = pytest.importorskip("pillow_heif")


def sample():
    rows, columns = np.mgrid[0:64, 0:96]
    return np.dstack([40 + rows * 2, 60 + columns, 200 - rows]).astype(np.uint8)


def distance(one, other):
    return float(np.abs(one.astype(float) - other).mean() / np.iinfo(one.dtype).max)


@pytest.mark.parametrize("extension", [".heic", ".heif", ".hif"])
def test_is_read_and_written(tmp_path, extension):
    write_image(tmp_path / f"a{extension}", sample())
    image = read_image(tmp_path / f"a{extension}")
    assert image.dtype == np.uint8
    assert distance(image, sample()) < 0.01


def test_ten_bits_are_kept(tmp_path):
    image16 = sample().astype(np.uint16) * 256 + 128
    write_image(tmp_path / "a.heic", image16)
    write_image(tmp_path / "b.heic", read_image(tmp_path / "a.heic"), like=tmp_path / "a.heic")
    for name in ("a.heic", "b.heic"):
        assert read_image(tmp_path / name).dtype == np.uint16
        assert distance(read_image(tmp_path / name), image16) < 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_kept(tmp_path, dtype):
    alpha = np.zeros((64, 96), np.uint8)
    alpha[:, 48:] = 200
    PIL.Image.fromarray(np.dstack([sample(), alpha])).save(tmp_path / "a.png")
    write_image(
        tmp_path / "b.heic", sample().astype(dtype) * (257 if dtype is np.uint16 else 1), like=tmp_path / "a.png"
    )
    write_image(tmp_path / "c.png", read_image(tmp_path / "b.heic"), like=tmp_path / "b.heic")
    pixels = np.asarray(PIL.Image.open(tmp_path / "c.png"))
    assert np.abs(pixels[:, :40, 3].astype(int)).mean() < 3
    assert np.abs(pixels[:, 56:, 3].astype(int) - 200).mean() < 3


def test_turned_photo_comes_upright_once(tmp_path):
    exif = PIL.Image.Exif()
    exif[Base.Orientation] = 6
    pillow_heif.from_pillow(PIL.Image.fromarray(sample())).save(tmp_path / "a.heic", exif=exif.tobytes())
    image = read_image(tmp_path / "a.heic")
    assert distance(image, np.rot90(sample(), -1)) < 0.02
    write_image(tmp_path / "b.heic", image, like=tmp_path / "a.heic")
    assert distance(read_image(tmp_path / "b.heic"), image) < 0.02


@pytest.mark.parametrize(("chroma", "written"), [(420, 420), (444, 444)])
def test_subsampling_is_that_of_the_source(tmp_path, chroma, written):
    pillow_heif.from_pillow(PIL.Image.fromarray(sample())).save(tmp_path / "a.heic", chroma=chroma)
    write_image(tmp_path / "b.heic", sample(), like=tmp_path / "a.heic")
    assert pillow_heif.open_heif(tmp_path / "b.heic").info["chroma"] == written


def test_quality_acts(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    write_image(tmp_path / "small.heic", noise, quality=20)
    write_image(tmp_path / "large.heic", noise)
    assert (tmp_path / "small.heic").stat().st_size < (tmp_path / "large.heic").stat().st_size / 2


def test_avif_is_not_taken_for_heic(tmp_path):
    write_image(tmp_path / "a.avif", sample())
    renamed = (tmp_path / "a.avif").rename(tmp_path / "a.heic")
    assert distance(read_image(renamed), sample()) < 0.01


@pytest.mark.parametrize("part", [0.02, 0.4, 0.9])
def test_truncated(tmp_path, part):
    write_image(tmp_path / "a.heic", sample())
    data = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(data[: max(int(len(data) * part), 24)])
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(tmp_path / "a.heic")


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    write_image(tmp_path / "a.heic", sample())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.heic: HEIC .* pip install 'revisage\[heif\]'"):
        read_image(tmp_path / "a.heic")
    with pytest.raises(OutputError, match=r"b\.heic: HEIC .* pip install 'revisage\[heif\]'"):
        write_image(tmp_path / "b.heic", sample())
    assert not (tmp_path / "b.heic").exists()
