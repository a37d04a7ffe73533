import numpy as np
import pytest
import straightforward_degradation as plain
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.training.data.degradations import steps
from revisage.training.data.degradations.steps import (
    ChannelShift,
    ColorJitter,
    Exposure,
    Haze,
    Noise,
    PoissonNoise,
    draw_poisson,
)


def make_image(seed=0, side=24):
    return np.random.default_rng(seed).random((side, side, 3), dtype=np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(
        [
            (steps.adjust_brightness, plain.brightness, 1),
            (steps.adjust_contrast, plain.contrast, 1),
            (steps.adjust_saturation, plain.saturation, 1),
            (steps.adjust_hue, plain.hue, 0.3),
        ]
    ),
    st.floats(-0.5, 1.5),
    st.integers(0, 99),
)
def test_jitter_follows_the_formulas(change, factor, seed):
    ours, formula, scale = change
    image = make_image(seed)
    image[:3] = image[:3, :, :1]  # gray pixels have no hue
    expected = formula(torch.from_numpy(image.transpose(2, 0, 1)), factor * scale).numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(ours(image, factor * scale), expected, atol=3e-6)


def test_jitter_is_applied_in_every_order():
    image, jitter = make_image(), ColorJitter((0.5, 0.5), (1.5, 1.5), (0.0, 0.0), (0.1, 0.1))
    results = {np.round(jitter(image, rng(seed)), 4).tobytes() for seed in range(200)}
    assert len(results) > 6  # brightness, contrast and clipping do not commute; hue of a gray image is nothing


def test_channels_are_shifted_each_on_its_own_within_the_limit():
    gray = np.full((2, 2, 3), 0.5, np.float32)
    shifts = np.array([ChannelShift(20.0)(gray, rng(seed))[0, 0] - 0.5 for seed in range(500)]) * 255
    assert np.abs(shifts).max() <= 20
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=2)
    np.testing.assert_allclose(shifts.std(axis=0), 20 / np.sqrt(3), atol=1)
    assert np.abs(np.corrcoef(shifts.T)[np.triu_indices(3, 1)]).max() < 0.15


def test_haze_mixes_with_white():
    image = make_image()
    np.testing.assert_allclose(Haze((0.8, 0.8))(image, rng()), 0.8 * image + 0.2, atol=1e-6)


def test_exposure_multiplies_and_clips():
    image = make_image()
    np.testing.assert_allclose(Exposure((1.1, 1.1))(image, rng()), np.minimum(1.1 * image, 1), atol=1e-6)


def test_gray_noise_is_the_same_in_all_channels():
    flat = np.full((16, 16, 3), 0.5, np.float32)
    noisy = Noise((10.0, 10.0), gray=1.0)(flat, rng())
    assert np.array_equal(noisy[..., 0], noisy[..., 2])
    assert noisy.std() * 255 == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(("level", "quanta"), [(64, 1), (192, 1)])
def test_shot_noise_has_the_variance_of_a_count(level, quanta):
    # One level only: one quantum, so the count's variance is its mean.
    flat = np.full((200, 200, 3), level / 255, np.float32)
    noise = PoissonNoise((0.1, 0.1), gray=0.0)(flat, rng()) - flat
    kept = noise[noise < 1 - level / 255 - 1e-3]  # without what was clipped
    count = np.random.default_rng(1).poisson(level / 255 * quanta, 120000) / quanta - level / 255
    assert kept.min() == pytest.approx(0.1 * count.min(), abs=1e-4)
    assert np.mean(noise < 0) == pytest.approx(np.mean(count < 0), abs=0.01)


def test_shot_noise_grows_with_brightness():
    ramp = np.repeat(np.linspace(0.1, 0.9, 256, dtype=np.float32)[None, :, None], 400, axis=0).repeat(3, axis=2)
    noise = PoissonNoise((1.0, 1.0), gray=0.0)(ramp, rng()) - ramp
    # 205 levels: 256 quanta, so the standard deviation is sqrt(x / 256).
    assert noise[:, 20].std() == pytest.approx(np.sqrt(ramp[0, 20, 0] / 256), rel=0.1)
    assert noise[:, 200].std() == pytest.approx(np.sqrt(ramp[0, 200, 0] / 256), rel=0.1)


@pytest.mark.parametrize("mean", [0.0, 0.7, 15.0, 17.0, 60.0, 250.0])
def test_counts_are_distributed_like_poisson_s(mean):
    counts = draw_poisson(np.full(200_000, mean, np.float32), rng())
    expected = np.random.default_rng(1).poisson(mean, 200_000)
    assert counts.min() >= 0
    assert counts.mean() == pytest.approx(mean, rel=0.005, abs=1e-9)
    assert counts.var() == pytest.approx(mean, rel=0.02, abs=1e-9)
    shares = [0.001, 0.05, 0.5, 0.95, 0.999]
    np.testing.assert_allclose(np.quantile(counts, shares), np.quantile(expected, shares), atol=1.01)
