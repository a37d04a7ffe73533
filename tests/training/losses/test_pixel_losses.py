import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisage.training.losses.image import DISTANCES, charbonnier, chroma_loss, l1, l2, pixel_loss


def images(seed=0):
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@given(st.floats(-0.5, 0.5))
def test_a_constant_offset_costs_its_size(offset):
    gt = images()
    assert float(pixel_loss(gt + offset, gt, torch.ones(2))) == pytest.approx(abs(offset), abs=1e-5)


def test_enlarged_originals_are_compared_at_half_resolution():
    gt = torch.zeros(1, 3, 4, 4)
    stripes = torch.tensor([1.0, -1.0]).repeat(2).expand(1, 3, 4, 4)
    assert float(pixel_loss(stripes, gt, torch.ones(1))) == 1
    assert float(pixel_loss(stripes, gt, torch.zeros(1))) == 0


def test_distances_are_means_of_their_formulas_image_by_image():
    x, y = torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.zeros(2, 2)
    assert l1(x, y).tolist() == [1.5, 0]
    assert l2(x, y).tolist() == [4.5, 0]
    torch.testing.assert_close(charbonnier(x, y, eps=4), torch.tensor([(5 + 4) / 2, 4.0]))


def test_the_pixel_loss_takes_any_distance():
    gt = images()
    assert float(pixel_loss(gt + 0.5, gt, torch.ones(2), l2)) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
def test_half_precision_is_summed_in_float32(name):
    """60000 terms of 1 are beyond what float16 can count one by one."""
    x = torch.ones(1, 3, 200, 100, dtype=torch.float16)
    distance = DISTANCES[name](x, torch.zeros_like(x))
    assert distance.dtype == torch.float32
    assert float(distance) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", DISTANCES)
def test_other_shapes_are_refused_instead_of_repeated(name):
    with pytest.raises(ValueError, match="one shape"):
        DISTANCES[name](torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 1, 1))


def test_charbonnier_has_a_slope_of_zero_where_images_agree():
    x = torch.zeros(1, 4, requires_grad=True)
    charbonnier(x, torch.zeros(1, 4)).sum().backward()
    assert x.grad.tolist() == [[0, 0, 0, 0]]


@given(st.floats(-0.5, 0.5))
def test_brightness_is_no_color(offset):
    gt = images()
    assert float(chroma_loss(gt + offset, gt)) == pytest.approx(0, abs=1e-6)


def test_colors_are_those_of_jfif():
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(1, 3, 2, 2)
    assert float(chroma_loss(red, torch.zeros_like(red))) == pytest.approx((0.168736 + 0.5) / 2, abs=1e-5)
