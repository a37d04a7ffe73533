"""Pillow images and arrays at the library's front door: nothing is destroyed without a word."""

import io

import numpy as np
import PIL.Image
import pytest
from PIL.ExifTags import Base

from revisage.errors import InputError
from revisage.restore.detect import Detector
from revisage.restore.inputs import as_image
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import lanczos

LEVELS = np.linspace(0, 65535, 20 * 30).reshape(20, 30).astype(np.uint16)
COLORS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def restorer():
    return Restorer("test", lambda _: [], lambda x: x, 64)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_gray_stays_16_bit(byte_order):
    deep = PIL.Image.frombytes(
        "I;16" if byte_order == "<" else "I;16B", (30, 20), LEVELS.astype(f"{byte_order}u2").tobytes()
    )
    assert np.array_equal(as_image(deep), np.repeat(LEVELS[:, :, None], 3, 2))


def test_mode_i_is_16_bit_gray():
    assert np.array_equal(as_image(PIL.Image.fromarray(LEVELS.astype(np.int32)))[:, :, 0], LEVELS)


@pytest.mark.parametrize("level", [-1, 65536])
def test_mode_i_beyond_16_bits_is_refused(level):
    with pytest.raises(InputError, match=f"0 to 65535, not {min(level, 0)}"):
        as_image(PIL.Image.fromarray(np.array([[0, level]], np.int32)))


def test_mode_f_is_refused():
    with pytest.raises(InputError, match="mode F"):
        restorer()(PIL.Image.fromarray(np.zeros((8, 8), np.float32)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_turned_upright(orientation):
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[Base.Orientation] = orientation
    PIL.Image.fromarray(COLORS).save(file, "PNG", exif=exif)
    expected = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(file)))
    assert np.array_equal(restorer()(PIL.Image.open(file), scale=1).image, expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
@pytest.mark.parametrize("scale", [1, 2])
def test_transparency_of_a_pillow_image_is_kept(mode, scale):
    alpha = np.zeros((20, 30), np.uint8)
    alpha[:, 15:] = 255
    image = PIL.Image.fromarray(COLORS).convert("L" if mode == "LA" else "RGB").convert(mode)
    image.putalpha(PIL.Image.fromarray(alpha))
    result = restorer()(image, scale=scale).image
    assert result.shape == (20 * scale, 30 * scale, 4)
    assert (result[:, : 10 * scale, 3] == 0).all()
    assert (result[:, 20 * scale :, 3] == 255).all()


def test_an_array_with_alpha_comes_back_with_it():
    rgba = np.dstack([COLORS, np.full((20, 30), 200, np.uint8)])
    result = restorer()(rgba, scale=2).image
    assert np.array_equal(result[:, :, :3], lanczos(COLORS, 2))
    assert (result[:, :, 3] == 200).all()


def test_inks_are_colors():
    inks = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red, green, _ = as_image(inks)[4, 4].tolist()
    assert red > 200
    assert green < 60


def test_a_bilevel_image_is_black_and_white():
    assert set(np.unique(as_image(PIL.Image.fromarray(COLORS[:, :, 0] > 128))).tolist()) == {0, 255}


def test_further_frames_of_a_pillow_image_are_named():
    file = io.BytesIO()
    frames = [PIL.Image.fromarray(np.roll(COLORS, i, 1)) for i in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert restorer()(PIL.Image.open(file), scale=1).left_out == ("2 further frames",)


@pytest.mark.parametrize("image", [COLORS.astype(np.uint16), COLORS / np.float32(255) ** 2])
def test_an_array_of_the_wrong_range_is_warned_of(image):
    with pytest.warns(UserWarning, match="nearly black: it reaches"):
        restorer()(image)


@pytest.mark.parametrize("level", [0, 300])
def test_dark_arrays_are_fine(level):
    restorer()(np.full((8, 8, 3), level, np.uint16))  # a warning would be an error


def test_an_array_lacks_nothing():
    assert restorer()(COLORS).left_out == ()


def test_bits_that_pillow_drops_are_named():
    import cv2

    file = io.BytesIO(cv2.imencode(".png", np.repeat(LEVELS[:, :, None], 3, 2))[1].tobytes())
    (lost,) = restorer()(PIL.Image.open(file), scale=1).left_out
    assert lost.startswith("8 of 16 bits")


@pytest.mark.parametrize(
    "image", ["photo.jpg", np.full((8, 8, 3), 2, np.float32), np.zeros((8, 8, 3)), PIL.Image.new("F", (8, 8))]
)
def test_the_detector_refuses_what_the_restorer_refuses(image):
    with pytest.raises(InputError):
        Detector(lambda _: pytest.fail("the network ran"))(image)


def test_a_truncated_pillow_image_is_an_input_error():
    file = io.BytesIO()
    PIL.Image.fromarray(COLORS).save(file, "PNG")
    with pytest.raises(InputError, match="Pillow image"):
        restorer()(PIL.Image.open(io.BytesIO(file.getvalue()[:-200])))
