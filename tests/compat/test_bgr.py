import numpy as np
import pytest

from revisage.compat.bgr import bgr_of, rgb_of, with_alpha_of
from revisage.errors import InputError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_are_turned_around_and_the_depth_stays(dtype):
    bgr = np.arange(24, dtype=dtype).reshape(2, 4, 3)
    assert (rgb_of(bgr) == bgr[:, :, ::-1]).all()
    assert rgb_of(bgr).dtype == dtype
    assert (bgr_of(rgb_of(bgr)) == bgr).all()


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_gray_becomes_three_equal_channels(shape):
    gray = np.arange(6, dtype=np.uint8).reshape(shape)
    assert (rgb_of(gray) == gray.reshape(2, 3, 1)).all()
    assert rgb_of(gray).shape == (2, 3, 3)


def test_a_dark_picture_of_16_bits_is_not_taken_for_one_of_8():
    dark = np.full((2, 2, 3), 200, np.uint16)
    assert rgb_of(dark).dtype == np.uint16
    assert (rgb_of(dark) == 200).all()


def test_transparency_is_scaled_along():
    source = np.zeros((24, 24, 4), np.uint8)
    source[:, :12, 3] = 255
    result = with_alpha_of(np.zeros((48, 48, 3), np.uint8), source)
    assert result.shape == (48, 48, 4)
    assert (result[:, :16, 3] == 255).all()
    assert (result[:, 32:, 3] == 0).all()


def test_what_has_no_transparency_gets_none():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert with_alpha_of(picture, np.zeros((4, 4), np.uint8)) is picture


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (None, "not NoneType: was it read?"),
        (np.zeros((4, 4, 2), np.uint8), r"not \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "not"),
        (np.zeros(4, np.uint8), "not"),
        (np.zeros((4, 4, 3)), "not float64"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(picture, message):
    with pytest.raises(InputError, match=message):
        rgb_of(picture)
