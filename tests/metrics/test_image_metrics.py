import math

import numpy as np
import pytest

from revisage.metrics.image import psnr, ssim


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
