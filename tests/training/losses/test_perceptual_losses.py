import pytest
import torch
from torch.autograd import gradcheck

from revisage.models.nets.vgg import VGG19Features
from revisage.training.losses.gram import gram
from revisage.training.losses.perceptual import (
    VGG19_WEIGHTS,
    feature_distance,
    features_of_both,
    lpips_distance,
    perceptual_loss,
    style_loss,
)
from revisage.training.losses.pixel import l2


def maps(seed=0, n=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(n, channels, 3, 3, generator=generator) for channels in (4, 8)]


def test_equal_features_have_no_distance():
    assert feature_distance(maps(), maps()).abs().max() < 1e-6


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


def test_layers_are_weighed():
    features = maps()
    targets = [features[0] + 0.5, features[1] - 0.25]
    assert float(perceptual_loss(features, targets, (0.1, 2))) == pytest.approx(0.1 * 0.5 + 2 * 0.25)
    assert float(perceptual_loss(features, targets, (1, 1), l2)) == pytest.approx(0.25 + 0.0625)


def test_style_compares_gram_matrices():
    features, targets = maps(), maps(1)
    expected = sum(
        weight * (gram(mine) - gram(theirs)).abs().mean()
        for mine, theirs, weight in zip(features, targets, (0.1, 2), strict=True)
    )
    torch.testing.assert_close(style_loss(features, targets, (0.1, 2)), expected)


def test_style_does_not_ask_where():
    features = maps()
    moved = [feature.roll(1, dims=-1) for feature in features]
    assert float(style_loss(features, moved, (1, 1))) == pytest.approx(0, abs=1e-6)
    assert float(perceptual_loss(features, moved, (1, 1))) > 0.1


def test_the_published_layers_are_the_networks_and_their_weights_the_published_ones():
    assert dict(VGG19_WEIGHTS) == {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}
    with torch.device("meta"):
        assert VGG19Features(tuple(VGG19_WEIGHTS)).wanted == [2, 7, 16, 25, 34]


def test_a_layer_without_a_weight_is_refused():
    with pytest.raises(ValueError, match="zip"):
        perceptual_loss(maps(), maps(), (1, 1, 1))


def test_features_of_originals_carry_no_gradient():
    restored, gt = torch.rand(1, 3, 4, 4, requires_grad=True), torch.rand(1, 3, 4, 4, requires_grad=True)
    features, targets = features_of_both(lambda x: [x * 2], restored, gt)
    perceptual_loss(features, targets, (1,)).backward()
    assert restored.grad.abs().sum() > 0
    assert gt.grad is None


def test_lpips_of_features_written_out():
    f, t = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
    weights = torch.tensor([0.5, 2.0])
    expected = 0.5 * 0.6**2 + 2 * 0.2**2
    assert float(lpips_distance([f], [t], [weights])) == pytest.approx(expected)
    assert float(lpips_distance([f, f], [t, t], [weights, weights])) == pytest.approx(2 * expected)


def test_lpips_is_a_mean_over_positions_for_each_picture():
    features, targets = maps(), maps(1)
    weights = [torch.rand(4), torch.rand(8)]
    both = lpips_distance(features, targets, weights)
    assert both.shape == (2,)
    alone = lpips_distance([f[1:] for f in features], [t[1:] for t in targets], weights)
    torch.testing.assert_close(both[1:], alone)


def test_silent_features_have_a_finite_slope():
    """After a ReLU whole vectors are 0 now and then; the root of their length has no slope there."""
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    lpips_distance([features], [torch.rand(1, 4, 2, 2)], [torch.ones(4)]).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_derivatives_of_feature_distances_are_right():
    features, targets = ([x.double()[:1, :3] for x in maps(seed)] for seed in (0, 1))
    mine = [feature.requires_grad_() for feature in features]
    weights = [torch.tensor([0.5, 1, 2], dtype=torch.float64)] * 2
    assert gradcheck(lambda *x: lpips_distance(x, targets, weights), mine)
    assert gradcheck(lambda *x: style_loss(x, targets, (1, 2)), mine)


def test_features_of_half_precision_are_compared_in_float32():
    features = [torch.full((1, 8, 40, 40), 300.0, dtype=torch.float16)]
    targets = [torch.zeros_like(features[0])]
    assert float(style_loss(features, targets, (1,))) == pytest.approx(300**2 / 8)
    assert float(perceptual_loss(features, targets, (1,))) == pytest.approx(300)
    assert float(lpips_distance(features, targets, [torch.full((8,), 1 / 8)])) == pytest.approx(1 / 8)
