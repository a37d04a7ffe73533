"""VGG19 features: which maps they are, and what the image goes through first."""

import pytest
import torch
from torch.nn import functional as F

from revisage.models.nets.vgg import VGG19Features


def by_definition(network, x, deepest):
    """Convolutions by their place in the published stack; pooling after places 3, 8, 17, 26."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=x.dtype)[..., None, None]
    x = ((x + 1) / 2 - mean) / std
    for place in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34):
        if place in (5, 10, 19, 28):
            x = F.max_pool2d(x, 2)
        x = F.conv2d(x, *network.features[place].parameters(), padding=1)
        if place == deepest:
            return x
        x = F.relu(x)
    raise AssertionError


def test_maps_are_those_before_the_relu():
    torch.manual_seed(0)
    network, x = VGG19Features(("conv1_2", "conv2_2", "conv3_4")).double(), torch.rand(1, 3, 16, 24).double() * 2 - 1
    maps = network(x)
    for features, place in zip(maps, (2, 7, 16), strict=True):
        assert features.min() < 0
        torch.testing.assert_close(features, by_definition(network, x, place), rtol=0, atol=1e-12)


def test_layers_have_the_published_places_and_shapes():
    with torch.device("meta"):
        network = VGG19Features()
        maps = network(torch.empty(1, 3, 64, 64))
    assert network.wanted == [2, 7, 16, 25, 34]
    assert [tuple(m.shape) for m in maps] == [
        (1, 64, 64, 64),
        (1, 128, 32, 32),
        (1, 256, 16, 16),
        (1, 512, 8, 8),
        (1, 512, 4, 4),
    ]
    assert {key.split(".")[0] for key in network.state_dict()} == {"features"}
    assert network.state_dict()["features.34.weight"].shape == (512, 512, 3, 3)


def test_nothing_is_built_beyond_the_last_layer():
    with torch.device("meta"):
        assert list(VGG19Features(("conv1_1",)).state_dict()) == ["features.0.weight", "features.0.bias"]


def test_weights_are_frozen_but_images_get_gradients():
    network, x = VGG19Features(("conv1_2",)), torch.rand(1, 3, 8, 8, requires_grad=True)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    network(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [(("conv9_1",), "conv9_1"), ((), "none"), (("conv2_1", "conv1_1"), "ascending")],
    ids=["unknown", "none", "order"],
)
def test_layers_that_cannot_be_are_refused(layers, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        VGG19Features(layers)


def test_features_do_not_depend_on_the_batch():
    network, x = VGG19Features(("conv2_2",)).double(), torch.rand(3, 3, 16, 16).double()
    torch.testing.assert_close(network(x[1:2])[0], network(x)[0][1:2], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.002), (torch.bfloat16, 0.02)], ids=str)
def test_half_precision_is_finite_and_close(dtype, tolerance):
    torch.manual_seed(0)
    network, x = VGG19Features(("conv1_2", "conv2_2", "conv3_4")), torch.rand(1, 3, 32, 32) * 2 - 1
    expected = network(x)
    for actual, exact in zip(network.to(dtype)(x.to(dtype)), expected, strict=True):
        assert torch.isfinite(actual).all()
        assert (actual - exact).norm() < tolerance * exact.norm()
