"""FIR resampling against the reference's outputs, its own definition and its derivatives."""

import numpy as np
import pytest
import torch
from golden_weights import golden_arrays, golden_input
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.models.nets.equalized import ConvLayer
from revisage.models.nets.resampling import FIR, TAPS, Interpolation, resampling, upfirdn2d

FILTER = FIR(TAPS)
DELTA = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
DELTA[0, 0, 1, 1] = 1


def kernel():
    taps = torch.tensor(TAPS, dtype=torch.float64)
    return taps.outer(taps) / 64


@pytest.mark.parametrize(
    ("name", "resample"),
    [
        ("up2", FILTER.enlarge),
        ("down2", lambda x: upfirdn2d(x, kernel(), down=2, pad=(1, 1))),
        ("smooth_up_k3", lambda x: upfirdn2d(x, 4 * kernel(), pad=(1, 1))),
        ("smooth_down_k3", lambda x: FILTER.before_down(x, 3)),
        ("smooth_down_k1", lambda x: FILTER.before_down(x, 1)),
    ],
)
def test_filtering_equals_the_reference(name, resample):
    expected = torch.from_numpy(golden_arrays("upfirdn")[name])
    torch.testing.assert_close(resample(golden_input(1, 2, 5, 6)), expected, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(-1, 3), st.integers(0, 3), st.integers(0, 2**31))
def test_upfirdn_does_what_its_name_says(up, down, before, after, seed):
    draw = np.random.RandomState(seed)
    x, filter_ = draw.standard_normal((5, 6)), draw.standard_normal((3, 2))
    stuffed = np.zeros((5 * up, 6 * up))
    stuffed[::up, ::up] = x
    padded = np.pad(stuffed, [(max(before, 0), after)] * 2)
    padded = padded[max(-before, 0) :, max(-before, 0) :]
    expected = np.zeros((padded.shape[0] - 2, padded.shape[1] - 1))
    for i in range(expected.shape[0]):
        for j in range(expected.shape[1]):
            expected[i, j] = (padded[i : i + 3, j : j + 2] * filter_[::-1, ::-1]).sum()
    actual = upfirdn2d(torch.from_numpy(x)[None, None], torch.from_numpy(filter_), up, down, (before, after))
    np.testing.assert_allclose(actual[0, 0], expected[::down, ::down], rtol=0, atol=1e-12)


def test_upfirdn_can_be_differentiated_twice():
    x = golden_input(1, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: upfirdn2d(x.square(), kernel(), up=2, down=2, pad=(2, 1)), [x])


@pytest.mark.parametrize("resample", [FILTER, Interpolation("bilinear"), Interpolation("nearest")], ids=str)
def test_a_constant_image_stays_constant_inside(resample):
    x = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    stride, padding = resample.stride_and_padding(3)
    smaller = torch.nn.functional.conv2d(resample.before_down(x, 3), DELTA, stride=stride, padding=padding)
    assert smaller.shape == (1, 1, 4, 4)
    for y, size in [(resample.enlarge(x), 16), (resample.conv_up(x, DELTA), 16), (smaller, 4)]:
        assert y.shape == (1, 1, size, size)
        torch.testing.assert_close(y[:, :, 2:-2, 2:-2], torch.ones_like(y[:, :, 2:-2, 2:-2]), rtol=0, atol=1e-12)


def test_an_unknown_way_of_resampling_is_named():
    with pytest.raises(ValueError, match="bicubic"):
        resampling("bicubic")


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("resample_kernel", [TAPS, "bilinear"], ids=str)
def test_a_layer_halves_the_size(kernel_size, resample_kernel):
    layer = ConvLayer(2, 3, kernel_size, downsample=True, resample_kernel=resample_kernel)
    assert layer(torch.zeros(1, 2, 8, 12)).shape == (1, 3, 4, 6)
