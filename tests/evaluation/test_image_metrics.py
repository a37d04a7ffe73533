import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.evaluation.metrics.image import psnr, ssim, studio_luma


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)


def test_equal_pictures_have_infinite_psnr_and_ssim_one():
    assert math.isinf(psnr(picture(), picture()))
    assert ssim(picture(), picture()) == pytest.approx(1)


def test_psnr_of_a_known_difference():
    a = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(a, a + 10) == pytest.approx(20 * math.log10(255 / 10))


def test_ssim_of_a_brightness_change_is_its_luminance_term():
    a, b = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))


def test_both_are_symmetric():
    assert psnr(picture(0), picture(1)) == psnr(picture(1), picture(0))
    assert ssim(picture(0), picture(1)) == pytest.approx(ssim(picture(1), picture(0)))


def test_pictures_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        psnr(picture(), picture()[1:])


@pytest.mark.parametrize("luma", [False, True])
@pytest.mark.parametrize("border", [0, 4])
def test_both_equal_the_reference(pair, references, luma, border):
    ending = ("_y" if luma else "") + (f"_border_{border}" if border else "")
    assert psnr(*pair, crop_border=border, luma=luma) == pytest.approx(references[f"psnr{ending}"], abs=1e-6)
    assert ssim(*pair, crop_border=border, luma=luma) == pytest.approx(references[f"ssim{ending}"], abs=1e-6)


def test_a_border_hides_what_differs_in_it():
    a = np.full((32, 32, 3), 100, np.uint8)
    b = a.copy()
    b[:4], b[:, -4:] = 0, 255
    assert psnr(a, b) < 20
    assert math.isinf(psnr(a, b, crop_border=4))
    assert ssim(a, b, crop_border=4) == pytest.approx(1)


def test_luma_spans_16_to_235():
    black, white = (np.full((1, 1, 3), value, np.uint8) for value in (0, 255))
    assert (studio_luma(black)[0, 0], studio_luma(white)[0, 0]) == pytest.approx((16, 235))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_ssim_lies_between_minus_one_and_one(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, 16, 16, 3), np.uint8)
    assert -1 <= ssim(a, b) <= 1


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_a_border_that_leaves_nothing_is_refused(measure):
    with pytest.raises(ValueError, match="leaves nothing"):
        measure(picture(), picture(), crop_border=20)


def test_ssim_of_a_picture_below_its_window_is_refused():
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(picture()[:10], picture()[:10])
