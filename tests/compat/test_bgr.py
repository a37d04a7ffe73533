import numpy as np
import pytest

from revisage.compat.bgr import copy_alpha, to_bgr, to_rgb
from revisage.errors import InputError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_are_turned_around_and_the_depth_stays(dtype):
    bgr = np.arange(24, dtype=dtype).reshape(2, 4, 3)
    assert (to_rgb(bgr) == bgr[:, :, ::-1]).all()
    assert to_rgb(bgr).dtype == dtype
    assert (to_bgr(to_rgb(bgr)) == bgr).all()


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_gray_becomes_three_equal_channels(shape):
    gray = np.arange(6, dtype=np.uint8).reshape(shape)
    assert (to_rgb(gray) == gray.reshape(2, 3, 1)).all()
    assert to_rgb(gray).shape == (2, 3, 3)


def test_a_dark_image_of_16_bits_is_not_taken_for_one_of_8():
    dark = np.full((2, 2, 3), 200, np.uint16)
    assert to_rgb(dark).dtype == np.uint16
    assert (to_rgb(dark) == 200).all()


def test_transparency_is_scaled_along():
    source = np.zeros((24, 24, 4), np.uint8)
    source[:, :12, 3] = 255
    result = copy_alpha(np.zeros((48, 48, 3), np.uint8), source)
    assert result.shape == (48, 48, 4)
    assert (result[:, :16, 3] == 255).all()
    assert (result[:, 32:, 3] == 0).all()


def test_what_has_no_transparency_gets_none():
    image = np.zeros((8, 8, 3), np.uint8)
    assert copy_alpha(image, np.zeros((4, 4), np.uint8)) is image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "not NoneType: was it read?"),
        (np.zeros((4, 4, 2), np.uint8), r"not \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "not"),
        (np.zeros(4, np.uint8), "not"),
        (np.zeros((4, 4, 3)), "not float64"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image, message):
    with pytest.raises(InputError, match=message):
        to_rgb(image)
