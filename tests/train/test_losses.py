import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisage.train.losses import feature_distance, pixel_loss


def pictures(seed=0):
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@given(st.floats(-0.5, 0.5))
def test_a_constant_offset_costs_its_size(offset):
    gt = pictures()
    assert float(pixel_loss(gt + offset, gt, torch.ones(2))) == pytest.approx(abs(offset), abs=1e-5)


def test_enlarged_originals_are_compared_at_half_resolution():
    gt = torch.zeros(1, 3, 4, 4)
    stripes = torch.tensor([1.0, -1.0]).repeat(2).expand(1, 3, 4, 4)
    assert float(pixel_loss(stripes, gt, torch.ones(1))) == 1
    assert float(pixel_loss(stripes, gt, torch.zeros(1))) == 0


def test_equal_features_have_no_distance():
    features = [torch.rand(2, 4, 3, 3), torch.rand(2, 8, 2, 2)]
    assert feature_distance(features, features).abs().max() < 1e-6


def test_the_strength_of_features_does_not_count_only_their_direction():
    features = [torch.rand(1, 4, 3, 3)]
    assert float(feature_distance(features, [features[0] * 7])) == pytest.approx(0, abs=1e-6)


def test_opposite_and_orthogonal_features():
    a, b = torch.tensor([1.0, 0]).view(1, 2, 1, 1), torch.tensor([0, 1.0]).view(1, 2, 1, 1)
    assert float(feature_distance([a], [b])) == pytest.approx(1)
    assert float(feature_distance([a], [-a])) == pytest.approx(2)


def test_stages_count_alike():
    a, b = torch.tensor([1.0, 0]).view(1, 2, 1, 1), torch.tensor([0, 1.0]).view(1, 2, 1, 1)
    assert float(feature_distance([a, a], [a, b])) == pytest.approx(0.5)
