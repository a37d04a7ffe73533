import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.training.data.degradations import kernels
from revisage.training.data.degradations.blur import Blur, Downsample
from revisage.training.data.degradations.old_photo import Fading, Sepia
from revisage.training.data.degradations.recipes import Steps, choose_randomly
from revisage.training.data.degradations.steps import ColorJitter, Jpeg, Noise, to_gray


def smooth(height=96, width=80, seed=0):
    small = np.random.default_rng(seed).random((6, 5, 3), dtype=np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def rng(seed=0):
    return np.random.default_rng(seed)


@given(sigma=st.floats(0.1, 10), size=st.sampled_from([3, 21, 41]))
def test_a_kernel_sums_to_one(sigma, size):
    assert kernels.gaussian_kernel(size, sigma).sum() == pytest.approx(1)


def test_a_kernel_has_the_covariance_it_was_asked_for():
    theta = 0.6
    kernel = kernels.gaussian_kernel(61, 5.0, 2.0, theta)
    axis = np.arange(61) - 30
    x, y = np.meshgrid(axis, axis)
    points = np.stack([x.ravel(), y.ravel()])
    measured = (points * kernel.ravel()) @ points.T
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    assert np.allclose(measured, turn @ np.diag([25.0, 4.0]) @ turn.T, atol=0.05)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        kernels.gaussian_kernel(20, 1.0)


@pytest.mark.parametrize("sigma", [0.1, 1.5, 10.0])
def test_two_passes_blur_like_the_full_kernel(sigma):
    image = rng().random((64, 72, 3), dtype=np.float32)
    full = cv2.filter2D(image, -1, kernels.gaussian_kernel(41, sigma))
    assert np.allclose(kernels.gaussian_blur(image, 41, sigma), full, atol=1e-5)


def test_downsample_rounds_down():
    assert Downsample((3.0, 3.0))(smooth(100, 50), rng()).shape == (33, 16, 3)


def test_downsample_leaves_at_least_one_pixel():
    assert Downsample((8.0, 8.0))(smooth(4, 4), rng()).shape == (1, 1, 3)


def test_noise_has_the_asked_for_strength():
    gray = np.full((256, 256, 3), 0.5, np.float32)
    assert (Noise((10.0, 10.0))(gray, rng()) - gray).std() * 255 == pytest.approx(10, rel=0.02)


def test_jpeg_keeps_red_red():
    red = np.zeros((32, 32, 3), np.float32)
    red[..., 0] = 1
    assert np.allclose(Jpeg((90.0, 90.0))(red, rng()), red, atol=0.02)


def test_jpeg_quality_below_its_next_integer_does_not_fail():
    assert Jpeg((60.7, 60.9))(smooth(), rng()).shape == (96, 80, 3)


def test_low_quality_changes_more_than_high_quality():
    image = smooth()
    low, high = (np.abs(Jpeg((q, q))(image, rng()) - image).mean() for q in (20.0, 95.0))
    assert low > 2 * high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(16, 70), width=st.integers(16, 70))
def test_a_degraded_image_keeps_size_and_range_and_has_256_levels(seed, height, width):
    lq, gt = Steps()(smooth(height, width), rng(seed))
    assert lq.shape == gt.shape == (height, width, 3)
    assert lq.min() >= 0
    assert lq.max() <= 1
    assert np.allclose(lq * 255, np.rint(lq * 255), atol=1e-4)


def test_the_same_generator_state_gives_the_same_image():
    first, second = (Steps()(smooth(), rng(7))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_the_original_is_not_touched():
    image = smooth()
    before = image.copy()
    Steps()(image, rng())
    assert np.array_equal(image, before)


def test_gray_concerns_both_images():
    _, gt = Steps(gray=1.0)(smooth(), rng())
    assert np.array_equal(gt[..., 0], gt[..., 2])
    assert np.allclose(gt, to_gray(smooth()))


def test_a_look_that_both_images_have_is_left_to_the_original():
    lq, gt = Steps(steps=(), gray=0, shared_steps=(Sepia((1.0, 1.0)),))(smooth(), rng())
    assert np.array_equal(gt, Sepia((1.0, 1.0))(smooth(), rng()))
    assert np.allclose(lq, gt, atol=1 / 255)


def test_a_look_that_both_images_have_does_not_touch_the_caller_s():
    image = smooth()
    before = image.copy()
    Steps(shared_steps=(Sepia(), Fading(), ColorJitter()))(image, rng())
    assert np.array_equal(image, before)


def test_colors_stay_where_they_were():
    lq, gt = Steps(steps=(Blur(), Noise((0.0, 5.0))), gray=0.0)(smooth(), rng(3))
    assert np.allclose(lq.mean((0, 1)), gt.mean((0, 1)), atol=0.02)


def test_one_of_several_degradations_is_drawn():
    nothing = Steps(steps=(), gray=0)
    gray = Steps(steps=(), gray=1)
    mixed, generator = choose_randomly([nothing, gray]), rng()
    drawn = [bool(np.array_equal(gt[..., 0], gt[..., 1])) for _, gt in (mixed(smooth(), generator) for _ in range(40))]
    assert 10 < sum(drawn) < 30
