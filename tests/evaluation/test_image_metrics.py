import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.evaluation.metrics.image import flicker, psnr, ssim, studio_luma


def image(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)


def test_equal_images_have_infinite_psnr_and_ssim_one():
    assert math.isinf(psnr(image(), image()))
    assert ssim(image(), image()) == pytest.approx(1)


def test_psnr_of_a_known_difference():
    a = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(a, a + 10) == pytest.approx(20 * math.log10(255 / 10))


def test_ssim_of_a_brightness_change_is_its_luminance_term():
    a, b = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))


def test_both_are_symmetric():
    assert psnr(image(0), image(1)) == psnr(image(1), image(0))
    assert ssim(image(0), image(1)) == pytest.approx(ssim(image(1), image(0)))


def test_images_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        psnr(image(), image()[1:])


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
        measure(image(), image(), crop_border=20)


def test_ssim_of_a_image_below_its_window_is_refused():
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(image()[:10], image()[:10])


def frames(number, sigma, seed=0):
    rng = np.random.default_rng(seed)
    return [np.clip(np.rint(rng.normal(128, sigma, (64, 64, 3))), 0, 255).astype(np.uint8) for _ in range(number)]


def test_a_still_clip_does_not_flicker():
    assert flicker(frames(1, 20) * 5) == 0


def test_fresh_noise_measures_its_deviation_times_the_root_of_two():
    assert flicker(frames(8, 10)) == pytest.approx(10 * np.sqrt(2), rel=0.03)


def test_what_changes_in_truth_does_not_count():
    truth = [np.full((8, 8, 3), 20 * t, np.uint8) for t in range(6)]
    wrong_alike = [frame + 10 for frame in truth]
    assert flicker(truth) == 20
    assert flicker(truth, truth) == 0
    assert flicker(wrong_alike, truth) == 0


def test_frames_are_taken_one_at_a_time():
    assert flicker(iter(frames(3, 5)), iter(frames(3, 5))) == 0


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match="two frames"):
        flicker(frames(1, 5))
    with pytest.raises(ValueError, match="shorter"):
        flicker(frames(3, 5), frames(2, 5))
    with pytest.raises(ValueError, match="cannot be compared"):
        flicker([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)])
