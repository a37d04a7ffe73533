"""Layers with an equalised learning rate."""

import pytest
import torch
from golden_weights import golden_input

from revisage.models.nets.equalized import ConvLayer, EqualConv2d, EqualLinear, FusedLeakyReLU, ScaledLeakyReLU

ROOT2 = 2**0.5


def test_the_activation_adds_its_bias_before_it_bends():
    layer = FusedLeakyReLU(2)
    layer.bias.data = torch.tensor([1.0, -1.0])
    expected = torch.tensor([[1.5 * ROOT2, -0.2 * 0.5 * ROOT2]])
    torch.testing.assert_close(layer(torch.tensor([[0.5, 0.5]])), expected)


def test_the_activation_leaves_its_input_alone():
    x = torch.tensor([[-1.0]])
    ScaledLeakyReLU()(x)
    assert x.item() == -1


def test_the_activation_can_be_differentiated_twice():
    layer = FusedLeakyReLU(3).double()
    x = golden_input(2, 3, 4, 4).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, b: layer(x * b[:, None, None]), [x, layer.bias.detach() + 1])


@pytest.mark.parametrize("lr_mul", [1, 0.01])
def test_outputs_have_the_variance_of_the_input_whatever_the_pace(lr_mul):
    torch.manual_seed(0)
    y = EqualLinear(256, 256, lr_mul=lr_mul)(torch.randn(64, 256))
    assert 0.9 < y.std() < 1.1


def test_a_slow_layer_scales_its_bias_too():
    layer = EqualLinear(4, 3, bias_init_val=1, lr_mul=0.01)
    torch.testing.assert_close(layer(torch.zeros(1, 4)), torch.full((1, 3), 0.01))


def test_a_linear_layer_can_be_activated_with_and_without_bias():
    x = torch.randn(2, 4)
    for bias in (True, False):
        layer = EqualLinear(4, 3, bias=bias, activation="fused_lrelu")
        plain = torch.nn.functional.linear(x, layer.weight * layer.scale)
        torch.testing.assert_close(layer(x), torch.nn.functional.leaky_relu(plain, 0.2) * ROOT2)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="tanh"):
        EqualLinear(4, 3, activation="tanh")


def test_a_convolution_starts_with_the_bias_asked_for():
    assert (EqualConv2d(2, 3, 3, padding=1, bias_init_val=1)(torch.zeros(1, 2, 4, 4)) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ({}, ["0.weight", "1.bias"]),
        ({"activate": False}, ["0.weight", "0.bias"]),
        ({"bias": False}, ["0.weight"]),
        ({"downsample": True}, ["1.weight", "2.bias"]),
        ({"downsample": True, "bias": False, "activate": False}, ["1.weight"]),
    ],
    ids=str,
)
def test_a_layer_keeps_its_bias_in_one_place(arguments, keys):
    assert list(ConvLayer(2, 3, 3, **arguments).state_dict()) == keys
