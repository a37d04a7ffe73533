import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locations import GOLDEN
from revisage.training.data.degradations.kernels import (
    add_kernel_noise,
    bessel_j1,
    gaussian_kernel,
    generalized_kernel,
    plateau_kernel,
    sinc_kernel,
)

KERNELS = GOLDEN / "kernels.npz"
MADE = {
    "iso_41_2": gaussian_kernel(41, 2.0),
    "aniso_41_2_5_03": gaussian_kernel(41, 2.0, 5.0, 0.3),
    "gen_21_2_4_03_b07": generalized_kernel(21, 2.0, 4.0, 0.3, beta=0.7),
    "plat_21_2_4_03_b15": plateau_kernel(21, 2.0, 4.0, 0.3, beta=1.5),
    "sinc_pi3_21": sinc_kernel(21, np.pi / 3),
}


@pytest.mark.parametrize("name", MADE)
def test_kernels_equal_the_reference(name):
    with np.load(KERNELS) as golden:
        assert set(golden) == set(MADE)
        np.testing.assert_allclose(MADE[name], golden[name], rtol=0, atol=1e-15)


# Abramowitz and Stegun, table 9.1; the first zero; the limit for small arguments.
@pytest.mark.parametrize(
    ("x", "value"),
    [
        (0.0, 0.0),
        (1e-8, 5e-9),
        (1.0, 0.44005058574493355),
        (3.8317059702075123, 0.0),
        (10.0, 0.04347274616886144),
        (90.0, 0.079925646708868084),
    ],
)
def test_the_bessel_function_has_its_known_values(x, value):
    assert float(bessel_j1(np.array(x))) == pytest.approx(value, abs=2e-14)
    assert float(bessel_j1(np.array([-x, 95.0]))[0]) == pytest.approx(-value, abs=2e-14)


@given(beta=st.floats(0.5, 8), sigma=st.floats(0.3, 10), theta=st.floats(-np.pi, np.pi))
def test_every_kernel_sums_to_one_and_is_the_same_upside_down(beta, sigma, theta):
    for kernel in (
        generalized_kernel(21, sigma, 2 * sigma, theta, beta=beta),
        plateau_kernel(21, sigma, 2 * sigma, theta, beta=beta),
        sinc_kernel(21, sigma / 4),
    ):
        assert kernel.sum() == pytest.approx(1)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


def test_a_sinc_kernel_passes_what_lies_below_its_cutoff_and_stops_the_rest():
    kernel = sinc_kernel(201, np.pi / 2)
    response = np.abs(np.fft.fft(kernel.sum(axis=0), 1024))
    assert np.abs(response[: int(0.2 * 1024)] - 1).max() < 0.05
    assert response[int(0.3 * 1024) : 512].max() < 0.05


def test_kernel_noise_is_multiplicative_and_within_its_range():
    plain = gaussian_kernel(21, 3.0)
    ratio = add_kernel_noise(plain, (0.75, 1.25), np.random.default_rng(0)) / plain
    assert ratio.max() / ratio.min() == pytest.approx(1.25 / 0.75, rel=0.05)
    assert add_kernel_noise(plain, (1.0, 1.0), np.random.default_rng(0)) == pytest.approx(plain)


@pytest.mark.parametrize("make", [lambda n: sinc_kernel(n, 1.0), lambda n: plateau_kernel(n, 1.0, beta=1.0)])
def test_kernels_without_a_centre_are_refused(make):
    with pytest.raises(ValueError, match="odd"):
        make(20)
