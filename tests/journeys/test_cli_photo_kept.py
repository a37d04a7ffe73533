"""``revisage restore`` keeps the photo: its names, time, profile, metadata, and how much a JPEG may lose."""

import os
import sys

import numpy as np
import PIL.Image
import pytest
from command import revisage
from PIL.ExifTags import IFD, Base
from PIL.JpegImagePlugin import get_sampling
from portrait import head

from revisage.images import read_image, read_profile
from revisage.images.encode import estimate_quality
from revisage.images.icc import ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES, make_rgb_profile

ADOBE_RGB = make_rgb_profile("Adobe RGB (1998)", ADOBE_RGB_GAMMA, primaries=ADOBE_RGB_PRIMARIES)
THEN = 981_173_106
NAMES = ["--output", "caf\u00e9", "Ame\u0301lie \U0001f469‍\U0001f467", "x" * 251]
NAMES += [os.fsdecode(b"caf\xe9")] if sys.platform == "linux" else []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of photos, restored: where the results are, and what was said."""
    folder = tmp_path_factory.mktemp("kept")
    photos, results = folder / "photos", folder / "results"
    photos.mkdir()
    exif = PIL.Image.Exif()
    exif[Base.Orientation] = 6
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2001:02:03 04:05:06"}
    turned = PIL.Image.fromarray(head()).transpose(PIL.Image.Transpose.ROTATE_90)
    turned.save(photos / "mum.jpg", quality=90, subsampling=2, exif=exif, icc_profile=ADOBE_RGB)
    for name in NAMES:
        PIL.Image.new("L", (40, 30), 90).save(photos / f"{name}.png")
    for photo in photos.iterdir():
        os.utime(photo, (THEN, THEN))
    done = revisage("restore", ".", "-o", results, "--preserve-mtime", "--scale", "1", cwd=photos, errors="replace")
    assert done.returncode == 0, done.stderr
    return results, done.stdout


def test_every_name_comes_back(run):
    results, said = run
    assert {path.name for path in results.iterdir() if path.is_file()} == {
        "mum.jpg",
        *(f"{name}.png" for name in NAMES),
    }
    assert f"{len(NAMES) + 1} photos: {len(NAMES) + 1} done; 1 of 1 face restored" in said


def test_the_time_is_kept(run):
    assert {path.stat().st_mtime for path in run[0].iterdir() if path.is_file()} == {THEN}


def test_the_turned_photo_is_upright_once(run):
    written = PIL.Image.open(run[0] / "mum.jpg")
    assert written.getexif()[Base.Orientation] == 1
    assert written.getexif().get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2001:02:03 04:05:06"
    assert np.abs(read_image(run[0] / "mum.jpg").astype(int) - head()).mean() < 12


def test_the_profile_goes_along(run):
    assert read_profile(run[0] / "mum.jpg") == ADOBE_RGB


def test_a_jpeg_loses_as_much_as_it_did(run):
    written = PIL.Image.open(run[0] / "mum.jpg")
    assert (estimate_quality(written), get_sampling(written)) == (90, 2)


def test_gray_stays_gray(run):
    assert {PIL.Image.open(run[0] / f"{name}.png").mode for name in NAMES} == {"L"}
