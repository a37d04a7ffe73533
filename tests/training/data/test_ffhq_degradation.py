"""GFP-GAN's degradation: the order and the formulas, against a plain port of them."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from straightforward_degradation import straightforward

from locations import PORTRAIT
from revisage.images import read_image
from revisage.images.pixels import to_float
from revisage.training.data.crops import Crop
from revisage.training.data.datasets import FFHQDegradationDataset
from revisage.training.data.degradations.published import (
    SECOND_ORDER_KINDS,
    ExtendedDegradation,
    FFHQDegradation,
    SecondOrder,
)
from revisage.training.data.degradations.steps import to_gray

PIXELS = read_image(PORTRAIT)
PHOTO = to_float(PIXELS)
STILL = {"blur_sigma": (0.1, 0.1), "downsample_range": (1, 1), "noise_range": None, "jpeg_range": None}
PLAIN = {**STILL, "color_jitter_prob": 0, "color_jitter_pt_prob": 0, "gray_prob": 0}


def rng(seed=0):
    return np.random.default_rng(seed)


def both(index, options):
    sample = FFHQDegradationDataset([Crop("face", PIXELS)], degradation=options, seed=5)[index]
    lq, gt = straightforward(PIXELS, options, np.random.default_rng((5, 1, index)))
    assert torch.allclose(sample["gt"], gt, atol=1e-6)
    return (sample["lq"] - lq).abs() * 127.5, lq


def test_the_same_draws_give_the_same_images_as_the_plain_way():
    means = []
    for index in range(16):
        difference, _ = both(index, FFHQDegradation(color_jitter_prob=0.5, color_jitter_pt_prob=0.5, gray_prob=0.2))
        means.append(float(difference.mean()))
    # A level that falls to the other side of a rounding sends a JPEG block another way, so single pixels may differ.
    assert max(means) < 1.5
    assert np.median(means) < 1


@pytest.mark.parametrize("jitter", [0, 1])
def test_without_rounding_in_between_they_are_the_same_to_the_last_level(jitter):
    options = FFHQDegradation(
        blur_sigma=(0.1, 1.0), noise_range=(0, 0), jpeg_range=(100, 100), color_jitter_prob=jitter, gray_prob=jitter
    )
    for index in range(3):
        difference, _ = both(index, options)
        assert float((difference > 1.01).float().mean()) < 0.02


def test_the_distributions_of_both_ways_agree():
    """Means and spreads of brightness, of contrast and of fine detail over many samples, each way with other draws."""
    options = FFHQDegradation(gray_prob=0)

    def figures(lq):
        detail = (lq[:, :, 1:] - lq[:, :, :-1]).abs().mean()
        return [float(value) for value in (lq.mean(), lq.std(), detail)]

    data = FFHQDegradationDataset([Crop("face", PIXELS[::2, ::2].copy())], size=256, degradation=options, seed=1)
    ours = np.array([figures(data[i]["lq"]) for i in range(120)])
    plain = np.array([figures(straightforward(PIXELS[::2, ::2].copy(), options, rng((9, i)))[0]) for i in range(120)])
    error = np.sqrt((ours.var(axis=0) + plain.var(axis=0)) / 120)
    assert (np.abs(ours.mean(axis=0) - plain.mean(axis=0)) < 3.5 * error).all()
    np.testing.assert_allclose(np.quantile(ours, 0.5, axis=0), np.quantile(plain, 0.5, axis=0), atol=6 * error.max())


def test_without_any_damage_the_image_stays_as_it_is():
    lq, gt = FFHQDegradation(**PLAIN)(PHOTO, rng())
    np.testing.assert_allclose(lq, gt, atol=1e-6)


@pytest.mark.parametrize(("gt_gray", "colors"), [(True, False), (False, True)])
def test_gray_concerns_the_original_only_if_asked_for(gt_gray, colors):
    lq, gt = FFHQDegradation(**PLAIN | {"gray_prob": 1, "gt_gray": gt_gray})(PHOTO, rng())
    np.testing.assert_allclose(lq, to_gray(PHOTO), atol=0.6 / 255)
    assert (np.ptp(gt, axis=2).max() > 0.1) == colors


def test_gray_comes_after_the_shift_and_before_the_jitter():
    lq, _ = FFHQDegradation(**PLAIN | {"gray_prob": 1, "color_jitter_prob": 1})(PHOTO, rng())
    assert np.ptp(lq, axis=2).max() < 1e-6
    # Saturation above 1 and another hue leave gray alone too, brightness does not.
    lq, _ = FFHQDegradation(**PLAIN | {"gray_prob": 1, "color_jitter_pt_prob": 1})(PHOTO, rng(1))
    assert np.ptp(lq, axis=2).max() < 2.1 / 255
    assert abs(float(lq.mean()) - float(to_gray(PHOTO).mean())) > 0.01


def test_jitter_comes_as_often_as_said():
    options, flat = FFHQDegradation(**PLAIN | {"color_jitter_prob": 0.3}), np.full((8, 8, 3), 0.5, np.float32)
    shifted = np.mean([np.ptp(options(flat, rng(seed))[0]) > 0 for seed in range(500)])
    assert shifted == pytest.approx(0.3, abs=0.06)


def test_kinds_without_probabilities_are_refused():
    with pytest.raises(ValidationError, match="as many entries"):
        FFHQDegradation(kernel_list=("iso",))
    with pytest.raises(ValidationError, match="blurr"):
        FFHQDegradation(blurr=1)


def test_a_square_patch_is_degraded_apart():
    even = ExtendedDegradation(patch_prob=0, gray_prob=0)(PHOTO, rng(2))[0]
    patchy = ExtendedDegradation(patch_prob=1, gray_prob=0)(PHOTO, rng(2))[0]
    rows, columns = np.nonzero(np.any(even != patchy, axis=2))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert 120 <= height <= 256
    assert abs(height - width) <= 4
    assert np.any(even != patchy, axis=2).sum() > 0.9 * height * width


def test_haze_brightens():
    bright = ExtendedDegradation(haze_prob=1, patch_prob=0, gray_prob=0)(PHOTO, rng(2))[0]
    assert bright.mean() > PHOTO.mean() + 0.02


def test_gray_concerns_both_images_of_the_extended_model():
    lq, gt = ExtendedDegradation(gray_prob=1)(PHOTO, rng())
    assert np.ptp(lq, axis=2).max() < 1e-6
    assert np.ptp(gt, axis=2).max() < 1e-6


def test_the_second_order_ends_at_a_quarter_of_the_size():
    for seed in range(4):
        assert SecondOrder()(PHOTO[:256, :200], rng(seed)).shape == (64, 50, 3)


def test_the_second_order_s_kernels_have_the_shares_of_the_paper():
    assert sum(SECOND_ORDER_KINDS.values()) == pytest.approx(1)
    assert SECOND_ORDER_KINDS["sinc"] == 0.1
    assert SECOND_ORDER_KINDS["iso"] / SECOND_ORDER_KINDS["plateau_aniso"] == pytest.approx(15)


def test_ringing_comes_as_often_as_said():
    quiet = SecondOrder(ringing_prob=0)
    always = SecondOrder(ringing_prob=1)
    assert not np.array_equal(quiet(PHOTO[:64, :64], rng(1)), always(PHOTO[:64, :64], rng(1)))
