import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.training.losses.image import image_pyramid, pyramid_loss


def image(side, seed=0):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def test_levels_are_halved_bilinearly_again_and_again():
    gt = image(32)
    expected = [gt]
    for _ in range(2):
        expected.insert(0, F.interpolate(expected[0], scale_factor=0.5, mode="bilinear", align_corners=False))
    for actual, wanted in zip(image_pyramid(gt, 3), expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-14)


def test_a_pyramid_of_the_original_costs_nothing():
    gt = image(32)
    assert float(pyramid_loss(image_pyramid(gt, 3), gt)) == 0


def test_levels_add_up():
    gt = image(32)
    drawn = [level + offset for level, offset in zip(image_pyramid(gt, 3), (0.5, -0.25, 0.125), strict=True)]
    assert float(pyramid_loss(drawn, gt)) == pytest.approx(0.875)


def test_it_fits_what_the_network_draws():
    """One term each for 8, 16, ... up to the whole size, as many as the network has levels."""
    network = GFPGANv1Clean(32, 16, 1, num_mlp=1, narrow=0.0625, input_is_latent=True, different_w=True)
    gt = image(32).float()
    with torch.no_grad():
        drawn = network(gt, return_rgb=True)[1]
    expected = sum(float((mine - F.adaptive_avg_pool2d(gt, mine.shape[-1])).abs().mean()) for mine in drawn)
    assert float(pyramid_loss(drawn, gt)) == pytest.approx(expected, rel=1e-5)


def test_sizes_that_do_not_double_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        pyramid_loss([image(8), image(32)], image(32))
    with pytest.raises(ValueError, match="cannot be halved"):
        image_pyramid(image(12), 4)


def test_its_derivative_is_right():
    gt = image(4)
    drawn = [level.clone().requires_grad_() for level in (image(2, 1), image(4, 2))]
    assert gradcheck(lambda *levels: pyramid_loss(levels, gt), drawn)
