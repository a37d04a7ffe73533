"""Photos of other color spaces: the network sees sRGB, the photo keeps its own values wherever nothing changes."""

import os

import numpy as np
import PIL.Image
import pytest
import torch

from on_arrays import on_arrays
from revisage.batch import Options, Source, restore_files
from revisage.batch.photos import restore_photo
from revisage.images import read_image, read_photo, read_profile, write_image
from revisage.images.icc import ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES, make_rgb_profile, parse_color_space
from revisage.restore.align import TEMPLATE
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.types import Face

ADOBE_RGB = make_rgb_profile("Adobe RGB (1998)", ADOBE_RGB_GAMMA, primaries=ADOBE_RGB_PRIMARIES)
PROPHOTO = make_rgb_profile("ROMM RGB", 1.8, (0.3457, 0.3585), ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)))
SPACES = pytest.mark.parametrize("icc", [ADOBE_RGB, PROPHOTO], ids=["Adobe RGB", "ProPhoto"])


def sensitive(crops):
    """A network whose result depends on the color, strongly and unevenly; it acts in the middle of the face."""
    red, green, blue = crops.unbind(1)
    changed = torch.stack([red * 0.8 + 0.1, green - 0.3 * (red > 0.1), blue * blue * 0.9], 1).clamp(-0.9, 0.9)
    places = torch.linspace(-1, 1, crops.shape[-1])
    middle = (1.5 - 2 * torch.hypot(places[:, None], places)).clamp(0, 1)  # what reaches the border is evened out
    return crops + middle * (changed - crops)


def restorer(network=sensitive):
    landmarks = (TEMPLATE * 80 / 512 + (40, 20)).astype(np.float32)
    face = Face(np.array([40, 20, 120, 100], np.float32), landmarks, 0.9)
    return Restorer("test", lambda _: [face], on_arrays(network), 64, batch=2)


def photo():
    """Smooth colors in sRGB, (120, 160, 3) float32."""
    rows, columns = np.mgrid[0:120, 0:160] / 160
    return np.dstack([0.2 + 0.6 * rows, 0.3 + 0.4 * columns, 0.7 - 0.5 * rows]).astype(np.float32)


def face_of(image, scale=1):
    return image[40 * scale : 80 * scale, 60 * scale : 100 * scale]


@SPACES
@pytest.mark.parametrize("scale", [1, 2])
def test_the_result_looks_as_if_the_photo_had_been_srgb(icc, scale):
    space = parse_color_space(icc)
    wanted = restorer()(photo(), scale=scale).image
    result = space.to_srgb(restorer()(space.from_srgb(photo()), scale=scale, profile=icc).image)
    assert np.abs(result - wanted).max() < 2e-3
    untouched = restorer(lambda crops: crops)(photo(), scale=scale).image
    assert np.abs(face_of(wanted - untouched, scale)).mean() > 0.02


@SPACES
def test_without_its_profile_it_would_not(icc):
    space = parse_color_space(icc)
    unmanaged = restorer()(space.from_srgb(photo()), scale=1).image
    assert np.abs(face_of(space.to_srgb(unmanaged)) - face_of(restorer()(photo(), scale=1).image)).mean() > 0.005


@SPACES
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_away_from_the_face_every_bit_stays(icc, dtype):
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (120, 160, 3), dtype, endpoint=True)
    result = restorer()(noise, scale=1, profile=icc).image
    assert np.array_equal(result[:, 125:], noise[:, 125:])
    assert not np.array_equal(face_of(result), face_of(noise))


@SPACES
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_that_changes_nothing_leaves_the_photo_as_it_is(icc, dtype):
    """Colors that sRGB does not have included."""
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (120, 160, 3), dtype, endpoint=True)
    assert np.array_equal(restorer(lambda crops: crops)(noise, scale=1, profile=icc).image, noise)


@SPACES
def test_an_aligned_face(icc):
    space, crop = parse_color_space(icc), photo()[:64, :64]
    wanted = restorer()(crop, aligned=True).image
    result = restorer()(space.from_srgb(crop), aligned=True, profile=icc).image
    assert np.abs(space.to_srgb(result) - wanted).max() < 2e-3


@SPACES
def test_an_animation_that_stands_still_looks_like_the_photo(tmp_path, icc):
    """The correction is brought into the photo's space once, before the average over time."""
    pixels = np.rint(parse_color_space(icc).from_srgb(photo()) * 255).astype(np.uint8)
    first, *others = [PIL.Image.fromarray(pixels)] * 3
    times = {"duration": [40, 50, 60], "save_all": True, "append_images": others}
    first.info["icc_profile"] = icc
    marked = pixels.copy()
    marked[-1, -1] ^= 1  # lest equal frames be joined
    times["append_images"] = [PIL.Image.fromarray(marked), first]
    first.save(tmp_path / "a.png", icc_profile=icc, **times)
    source = read_photo(tmp_path / "a.png")
    assert (len(source.frames), source.profile) == (3, icc)
    still = restorer()(pixels, scale=1, profile=icc).image
    for result in restore_photo(restorer(), source, Controls(scale=1)).results:
        assert np.abs(result.image.astype(int) - still)[:-1].max() <= 1


def test_photos_of_several_spaces_share_a_batch():
    spaces = [parse_color_space(ADOBE_RGB), None, parse_color_space(PROPHOTO)]
    images = [photo() if space is None else space.from_srgb(photo()) for space in spaces]
    together = restorer().restore(images, Controls(scale=1), profiles=[ADOBE_RGB, b"", PROPHOTO])
    for image, icc, result in zip(images, (ADOBE_RGB, b"", PROPHOTO), together, strict=True):
        assert np.array_equal(result.image, restorer()(image, scale=1, profile=icc).image)


def test_a_pillow_image_brings_its_profile():
    pixels = np.rint(parse_color_space(ADOBE_RGB).from_srgb(photo()) * 255).astype(np.uint8)
    image = PIL.Image.fromarray(pixels)
    image.info["icc_profile"] = ADOBE_RGB
    assert np.array_equal(restorer()(image).image, restorer()(pixels, profile=ADOBE_RGB).image)
    assert np.array_equal(restorer()(image, profile=b"").image, restorer()(pixels).image)


def test_files_are_restored_by_their_profile(tmp_path):
    pixels = np.rint(parse_color_space(ADOBE_RGB).from_srgb(photo()) * 255).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=ADOBE_RGB)
    options = Options(output=tmp_path / "out", controls=Controls(scale=1))
    (outcome,) = restore_files(restorer(), [Source(tmp_path / "a.png")], options)
    assert outcome.error == ""
    assert np.array_equal(read_image(outcome.target), restorer()(pixels, scale=1, profile=ADOBE_RGB).image)
    assert read_profile(outcome.target) == ADOBE_RGB


@pytest.mark.parametrize("preserve_mtime", [False, True])
def test_files_keep_their_time_when_asked_to(tmp_path, preserve_mtime):
    write_image(tmp_path / "a.png", (photo() * 255).astype(np.uint8))
    os.utime(tmp_path / "a.png", (981_173_106, 981_173_106))
    options = Options(output=tmp_path / "out", controls=Controls(scale=1), preserve_mtime=preserve_mtime)
    (outcome,) = restore_files(restorer(), [Source(tmp_path / "a.png")], options)
    assert (outcome.target.stat().st_mtime == 981_173_106) is preserve_mtime
