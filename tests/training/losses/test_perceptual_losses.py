import pytest
import torch
from torch.autograd import gradcheck

from revisage.models.nets.vgg import VGG19Features
from revisage.training.losses.features import (
    VGG19_WEIGHTS,
    features_of_both,
    gram,
    perceptual_loss,
    style_loss,
)
from revisage.training.losses.image import l2


def maps(seed=0, n=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(n, channels, 3, 3, generator=generator) for channels in (4, 8)]


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


def test_features_of_half_precision_are_compared_in_float32():
    features = [torch.full((1, 8, 40, 40), 300.0, dtype=torch.float16)]
    targets = [torch.zeros_like(features[0])]
    assert float(style_loss(features, targets, (1,))) == pytest.approx(300**2 / 8)
    assert float(perceptual_loss(features, targets, (1,))) == pytest.approx(300)


def test_derivatives_of_the_style_loss_are_right():
    features, targets = ([x.double()[:1, :3] for x in maps(seed)] for seed in (0, 1))
    mine = [feature.requires_grad_() for feature in features]
    assert gradcheck(lambda *x: style_loss(x, targets, (1, 2)), mine)
