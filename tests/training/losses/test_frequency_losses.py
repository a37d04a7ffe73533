import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from revisage.training.losses.image import (
    fft_loss,
    focal_frequency_loss,
    lattice_loss,
    stationary_haar,
    wavelet_loss,
)


def image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


LOSSES = [fft_loss, focal_frequency_loss, wavelet_loss]


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_images_cost_nothing(loss):
    gt = image(2, 3, 8, 8)
    assert float(loss(gt, gt)) == 0


@given(st.floats(0.01, 1))
def test_a_constant_offset_is_one_frequency(offset):
    gt = image(1, 3, 8, 16)
    assert float(fft_loss(gt + offset, gt)) == pytest.approx(offset / math.sqrt(8 * 16))


def test_a_wave_is_found_in_its_two_frequencies():
    wave = torch.cos(2 * math.pi * 3 * torch.arange(16, dtype=torch.float64) / 16).expand(1, 1, 16, 16)
    assert float(fft_loss(wave, torch.zeros_like(wave))) == pytest.approx(2 * 8 / 16**2)


def test_without_focus_the_focal_loss_is_the_mean_squared_difference():
    x, y = image(2, 3, 8, 8), image(2, 3, 8, 8, seed=1)
    assert float(focal_frequency_loss(x, y, alpha=0)) == pytest.approx(float((x - y).square().mean()))


def test_focus_keeps_the_worst_frequency_and_weakens_the_others():
    """Amplitudes 1 and 1/2 of squares 1 and 1/4: the second counts half."""
    n = torch.arange(16, dtype=torch.float64)
    difference = (torch.cos(2 * math.pi * n / 16) + 0.5 * torch.cos(2 * math.pi * 5 * n / 16)).expand(1, 1, 16, 16)
    loss = focal_frequency_loss(difference, torch.zeros_like(difference))
    assert float(loss) == pytest.approx(0.5 * (1 + 0.5 * 0.25))


def test_the_focus_of_a_image_does_not_depend_on_the_others_of_its_batch():
    x, y = image(2, 3, 8, 8), image(2, 3, 8, 8, seed=1)
    x[1] *= 100
    apart = [float(focal_frequency_loss(x[i : i + 1], y[i : i + 1])) for i in range(2)]
    assert float(focal_frequency_loss(x, y)) == pytest.approx(sum(apart) / 2)


def test_equal_images_have_no_slope_instead_of_none():
    for loss in LOSSES:
        x = image(1, 1, 4, 4).requires_grad_()
        loss(x, x.detach().clone()).backward()
        assert x.grad.abs().max() == 0


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
def test_details_and_rest_add_up_to_the_image(levels, height, width):
    x = image(1, 2, height, width)
    details, rest = stationary_haar(x, levels)
    assert [tuple(detail.shape) for detail in details] == [(1, 3, 2, height, width)] * levels
    torch.testing.assert_close(sum(detail.sum(1) for detail in details) + rest, x)


def test_stripes_are_seen_in_their_direction_and_scale_only():
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    (fine, coarse), rest = stationary_haar(stripes, 2)
    across, down, diagonal = fine[0, :, 0].abs().unbind(0)
    assert across[:, :-1].min() == 1
    assert down.max() == diagonal.max() == 0
    assert coarse[..., :-3].abs().max() == rest[..., :-3].abs().max() == 0


def test_an_offset_costs_the_wavelet_loss_nothing():
    gt = image(1, 3, 16, 16)
    assert float(wavelet_loss(gt + 0.3, gt)) == pytest.approx(0, abs=1e-12)


def test_the_wavelet_loss_is_the_same_wherever_the_difference_lies():
    def spot(place):
        x = torch.zeros(1, 1, 32, 32)
        x[0, 0, place, place] = 1
        return float(wavelet_loss(x, torch.zeros_like(x)))

    assert spot(12) == pytest.approx(spot(13))


@pytest.mark.parametrize("loss", [*LOSSES, lambda x, y: focal_frequency_loss(x, y, alpha=0)])
def test_derivatives_are_right(loss):
    x, y = image(1, 2, 4, 6).requires_grad_(), image(1, 2, 4, 6, seed=1)
    if loss is focal_frequency_loss:  # whose weight is a constant: compare with the loss of just that weight
        spectrum = torch.fft.fft2((x - y).detach(), norm="ortho").abs()
        weight = spectrum / spectrum.amax((-2, -1), keepdim=True)
        expected = (weight * torch.fft.fft2(x - y, norm="ortho").abs().square()).mean()
        torch.testing.assert_close(*(torch.autograd.grad(value, x)[0] for value in (loss(x, y), expected)))
    else:
        assert gradcheck(lambda x: loss(x, y), x)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_transformed_in_float32(loss, dtype):
    x, y = image(1, 3, 12, 12).to(dtype), image(1, 3, 12, 12, seed=1).to(dtype)
    with torch.autocast("cpu", dtype):
        actual = loss(x, y)
    assert actual.dtype == torch.float32
    assert float(actual) == pytest.approx(float(loss(x.double(), y.double())), rel=1e-5)


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("axis", [-1, -2])
def test_a_lattice_counts_wherever_it_begins(period, axis):
    gt = image(1, 3, 128, 64)
    wave = torch.cos(2 * math.pi * torch.arange(gt.shape[axis], dtype=torch.float64) / period)
    lattice = 0.1 * (wave if axis == -1 else wave[:, None]).expand(gt.shape[-2:])
    losses = [float(lattice_loss(gt + lattice.roll((1, 1), (0, 1)) * on, gt)) for on in (0, 1, 2)]
    assert losses[0] == 0
    assert losses[1] > 0.02
    assert losses[2] == pytest.approx(2 * losses[1])


def test_grain_is_no_lattice():
    gt = image(1, 3, 128, 128)
    grain = 0.1 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert float(lattice_loss(gt + grain, gt)) < 0.012  # a mean of 64 tiles


def test_images_smaller_than_a_window_show_no_lattice():
    with pytest.raises(ValueError, match="smaller than a window of 64"):
        lattice_loss(image(1, 3, 64, 32), image(1, 3, 64, 32))
