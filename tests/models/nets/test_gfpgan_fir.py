"""GFPGANv1 and GFPGANBilinear against the reference's outputs, their published keys, and their promises."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets.gfpgan_fir import ConvUpLayer, GFPGANBilinear, GFPGANv1

PUBLISHED = {"input_is_latent": True, "different_w": True, "sft_half": True}
KINDS = {GFPGANv1: "original_small", GFPGANBilinear: "bilinear_small"}


def network_of(kind, out_size=32):
    network = kind(out_size, 32, 1, fix_decoder=False, num_mlp=2, narrow=0.0625, **PUBLISHED)
    network = network.double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict(), equalised=True))
    return network


@pytest.mark.parametrize("kind", list(KINDS))
def test_outputs_equal_the_reference(kind):
    image, pyramid = network_of(kind)(golden_input(2, 3, 32, 32))
    expected = golden_arrays(KINDS[kind])
    torch.testing.assert_close(image, torch.from_numpy(expected["image"]), rtol=0, atol=1e-9)
    for level, rgb in enumerate(pyramid):
        torch.testing.assert_close(rgb, torch.from_numpy(expected[f"rgb{level}"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "name", "multiplier"), [(GFPGANv1, "GFPGANv1_c1", 1), (GFPGANBilinear, "GFPGANBilinear_c2", 2)]
)
def test_keys_and_shapes_are_the_published_ones(kind, name, multiplier):
    with torch.device("meta"):
        network = kind(512, 512, multiplier, **PUBLISHED)
    published = manifest(name)
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("out_size", [64, 128])
def test_result_is_as_large_as_the_input(kind, out_size):
    network = kind(out_size, 16, 0.5, num_mlp=1, narrow=0.0625, **PUBLISHED)
    image, pyramid = network(torch.zeros(1, 3, out_size, out_size))
    assert image.shape == (1, 3, out_size, out_size)
    assert [rgb.shape[-1] for rgb in pyramid] == [8 * 2**i for i in range(len(pyramid))]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("out_size", "channel_multiplier"), [(32, 3), (256, 0.7), (512, 1.3), (1024, 2)])
def test_every_size_and_channel_multiplier_fits_together(kind, out_size, channel_multiplier):
    with torch.device("meta"):
        network = kind(out_size, 64, channel_multiplier, num_mlp=1, **PUBLISHED)
        image, pyramid = network(torch.empty(1, 3, out_size, out_size))
    assert image.shape == pyramid[-1].shape == (1, 3, out_size, out_size)


@pytest.mark.parametrize("kind", list(KINDS))
def test_results_do_not_depend_on_the_batch(kind):
    network, x = network_of(kind), golden_input(3, 3, 32, 32)
    torch.testing.assert_close(network(x[1:2])[0], network(x)[0][1:2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_part_gets_a_gradient(kind):
    network = kind(32, 16, num_mlp=1, narrow=0.0625, fix_decoder=False)
    image, pyramid = network(torch.rand(1, 3, 32, 32))
    (image.square().sum() + sum(rgb.square().sum() for rgb in pyramid)).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_conditions_start_neutral():
    network = GFPGANv1(32, 16, num_mlp=1, narrow=0.0625)
    assert all((layers[2].bias == 1).all() for layers in network.condition_scale)
    assert all((layers[2].bias == 0).all() for layers in network.condition_shift)


def test_a_layer_that_doubles_keeps_its_bias_in_one_place():
    assert set(ConvUpLayer(2, 3, 3).state_dict()) == {"weight", "activation.bias"}
    assert set(ConvUpLayer(2, 3, 3, bias=False).state_dict()) == {"weight"}
    layer = ConvUpLayer(2, 3, 1, bias_init_val=2, activate=False)
    assert (layer(torch.zeros(1, 2, 4, 4)) == torch.full((1, 3, 8, 8), 2.0)).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.004), (torch.bfloat16, 0.03)], ids=str)
@pytest.mark.parametrize("autocast", [False, True], ids=["half weights", "autocast"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_half_precision_is_finite_and_close(kind, dtype, tolerance, autocast):
    network, x = network_of(kind), golden_input(2, 3, 32, 32)
    expected = network(x)[0]
    if autocast:
        with torch.autocast("cpu", dtype):
            actual = network.float()(x.float())[0]
    else:
        actual = network.to(dtype)(x.to(dtype))[0]
    assert torch.isfinite(actual).all()
    error = (actual.double() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < tolerance
