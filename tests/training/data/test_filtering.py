"""The quick blur and shrink against the plain one: a full-size correlation, then a bilinear resize."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locations import PORTRAIT
from revisage.images import read_image
from revisage.images.pixels import to_float
from revisage.training.data.degradations.kernels import (
    add_kernel_noise,
    blur_and_resize,
    coarsening_factors,
    gaussian_kernel,
    plateau_kernel,
    sinc_kernel,
    trim,
)

PHOTO = to_float(read_image(PORTRAIT))


def plainly(image, kernel, size):
    return cv2.resize(cv2.filter2D(image, -1, kernel), size, interpolation=cv2.INTER_LINEAR)


def decibels(first, second):
    return -10 * np.log10(np.mean((first.astype(float) - second) ** 2) + 1e-15)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.1, 10),
    st.floats(0.1, 10),
    st.floats(-np.pi, np.pi),
    st.floats(0.8, 8),
    st.sampled_from([gaussian_kernel, lambda *a: plateau_kernel(*a, beta=1.5)]),
)
def test_the_quick_blur_is_within_46_decibels_of_the_plain_one(sigma_x, sigma_y, theta, factor, make):
    kernel = make(41, sigma_x, sigma_y, theta)
    size = int(512 // factor), int(512 // factor)
    assert decibels(blur_and_resize(PHOTO, kernel, size), plainly(PHOTO, kernel, size)) > 46


def test_the_mean_difference_is_a_fraction_of_a_level():
    rng = np.random.default_rng(0)
    for _ in range(12):
        kernel = gaussian_kernel(41, *rng.uniform(0.1, 10, 2), rng.uniform(-np.pi, np.pi))
        difference = blur_and_resize(PHOTO, kernel, (190, 190)) - plainly(PHOTO, kernel, (190, 190))
        assert np.abs(difference).mean() * 255 < 0.5
        assert abs(difference.mean()) * 255 < 0.05  # no brighter, no darker


@pytest.mark.parametrize(
    "kernel",
    [gaussian_kernel(41, 0.3), gaussian_kernel(41, 0.5, 9.0, 0.8), gaussian_kernel(41, 0.3, 0.9, 0.4)],
    ids=["by axes", "Fourier", "direct"],
)
def test_kernels_that_keep_detail_are_applied_exactly(kernel):
    assert coarsening_factors(trim(kernel), (512, 512)) == (1, 1)
    assert np.abs(blur_and_resize(PHOTO, kernel, (512, 512)) - plainly(PHOTO, kernel, (512, 512))).max() < 5e-4


def test_a_lopsided_kernel_is_not_turned():
    kernel = add_kernel_noise(gaussian_kernel(21, 0.6, 6.0, 0.7), (0.0, 2.0), np.random.default_rng(0))
    size = 200, 150
    assert decibels(blur_and_resize(PHOTO, kernel, size), plainly(PHOTO, kernel, size)) > 55
    assert decibels(blur_and_resize(PHOTO, kernel[::-1, ::-1], size), plainly(PHOTO, kernel, size)) < 50


def test_a_ringing_kernel_keeps_its_ringing():
    kernel = sinc_kernel(21, np.pi / 3)
    assert decibels(blur_and_resize(PHOTO, kernel, (512, 512)), plainly(PHOTO, kernel, (512, 512))) > 70


def test_a_thin_slanted_blur_is_not_taken_for_a_smooth_one():
    assert coarsening_factors(gaussian_kernel(41, 0.7, 9.0, np.pi / 4), (512, 512)) == (1, 1)
    assert coarsening_factors(gaussian_kernel(41, 6.0, 9.0, np.pi / 4), (512, 512)) == (4, 4)
    assert coarsening_factors(gaussian_kernel(41, 6.0, 0.7), (512, 512)) == (1, 4)


def test_sides_that_cannot_be_divided_are_not_coarsened():
    image = np.ascontiguousarray(PHOTO[:201, :303])
    kernel = gaussian_kernel(41, 6.0, 7.0, 0.5)
    assert decibels(blur_and_resize(image, kernel, (101, 67)), plainly(image, kernel, (101, 67))) > 100


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.2, 10))
def test_images_smaller_than_the_kernel_are_blurred_too(height, width, sigma):
    image = np.ascontiguousarray(PHOTO[200 : 200 + height, 200 : 200 + width])
    kernel = gaussian_kernel(41, sigma, 1.0, 0.3)
    assert decibels(blur_and_resize(image, kernel, (9, 7)), plainly(image, kernel, (9, 7))) > 40


def test_a_flat_image_stays_flat():
    flat = np.full((64, 64, 3), 0.7, np.float32)
    for kernel in (gaussian_kernel(41, 9.0), gaussian_kernel(41, 1.0, 9.0, 0.7), sinc_kernel(21, 2.0)):
        np.testing.assert_allclose(blur_and_resize(flat, kernel, (30, 30)), 0.7, atol=1e-5)


def test_the_number_of_threads_changes_no_bit():
    kernel, before = gaussian_kernel(41, 1.0, 9.0, 0.7), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(blur_and_resize(PHOTO, kernel, (150, 150)))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
