"""GFPGANv1Clean against the reference's outputs, its published keys, and its promises."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets.gfpgan import GFPGANv1Clean, ResBlock

PUBLISHED = {"input_is_latent": True, "different_w": True, "sft_half": True}
FULL_SFT = {"input_is_latent": False, "different_w": False, "sft_half": False}


def network_of(arguments=PUBLISHED, out_size=32):
    network = GFPGANv1Clean(out_size, 32, 1, fix_decoder=False, num_mlp=2, narrow=0.0625, **arguments)
    network = network.double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict()))
    return network


@pytest.mark.parametrize(
    ("name", "arguments"), [("clean_small", PUBLISHED), ("clean_small_fullsft_mlp", FULL_SFT)], ids=str
)
def test_outputs_equal_the_reference(name, arguments):
    image, pyramid = network_of(arguments)(golden_input(2, 3, 32, 32))
    expected = golden_arrays(name)
    torch.testing.assert_close(image, torch.from_numpy(expected["image"]), rtol=0, atol=1e-9)
    for level, rgb in enumerate(pyramid):
        torch.testing.assert_close(rgb, torch.from_numpy(expected[f"rgb{level}"]), rtol=0, atol=1e-9)


def test_keys_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        network = GFPGANv1Clean(512, 512, 2, num_mlp=8, **PUBLISHED)
    published = manifest("GFPGANv1Clean_c2")
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]


@pytest.mark.parametrize("out_size", [32, 64, 128, 256])
def test_result_is_as_large_as_the_input(out_size):
    network = GFPGANv1Clean(out_size, 16, 0.5, num_mlp=1, narrow=0.0625, **PUBLISHED)
    image, pyramid = network(torch.zeros(1, 3, out_size, out_size))
    assert image.shape == (1, 3, out_size, out_size)
    assert [rgb.shape[-1] for rgb in pyramid] == [8 * 2**i for i in range(len(pyramid))]
    assert pyramid[-1].shape[-1] == out_size


@pytest.mark.parametrize("sft_half", [True, False], ids=["half", "whole"])
@pytest.mark.parametrize(("out_size", "channel_multiplier"), [(32, 3), (64, 0.25), (256, 0.7), (512, 1.3), (1024, 2)])
def test_every_size_and_channel_multiplier_fits_together(out_size, channel_multiplier, sft_half):
    with torch.device("meta"):
        network = GFPGANv1Clean(out_size, 64, channel_multiplier, num_mlp=1, sft_half=sft_half)
        image, pyramid = network(torch.empty(1, 3, out_size, out_size))
    assert image.shape == pyramid[-1].shape == (1, 3, out_size, out_size)


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 32, 32), (3, 32, 32)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 3, 32, 32\)"):
        network_of()(torch.zeros(shape, dtype=torch.float64))


def test_results_are_the_same_every_time():
    network, x = network_of(), golden_input(1, 3, 32, 32)
    assert torch.equal(network(x)[0], network(x)[0])


def test_a_generator_makes_random_noise_repeatable():
    network, x = network_of(), golden_input(1, 3, 32, 32)
    first, second = (network(x, generator=torch.Generator().manual_seed(1))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, network(x)[0])
    assert not torch.equal(network(x, randomize_noise=True)[0], network(x)[0])


def test_results_do_not_depend_on_the_batch():
    network, x = network_of(), golden_input(3, 3, 32, 32)
    torch.testing.assert_close(network(x[1:2])[0], network(x)[0][1:2], rtol=0, atol=1e-12)


def test_images_of_the_levels_can_be_left_out():
    network, x = network_of(), golden_input(1, 3, 32, 32)
    image, pyramid = network(x, return_rgb=False)
    assert pyramid == []
    assert torch.equal(image, network(x)[0])


@pytest.mark.parametrize("arguments", [PUBLISHED, FULL_SFT], ids=["style a layer", "one style"])
def test_latents_are_returned_when_asked_for(arguments):
    network, x = network_of(arguments), golden_input(2, 3, 32, 32)
    image, _, latents = network(x, return_latents=True)
    assert latents.shape == (2, network.stylegan_decoder.num_latent, 32)
    assert not torch.equal(latents[0], latents[1])
    assert torch.equal(image, network(x)[0])


def test_fix_decoder_leaves_the_rest_trainable():
    network = GFPGANv1Clean(32, 16, num_mlp=1, narrow=0.0625, fix_decoder=True)
    frozen = {name.partition(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"stylegan_decoder"}


def test_every_part_gets_a_gradient():
    network = GFPGANv1Clean(32, 16, num_mlp=1, narrow=0.0625, fix_decoder=False)
    image, pyramid = network(torch.rand(1, 3, 32, 32))
    (image.square().sum() + sum(rgb.square().sum() for rgb in pyramid)).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.004), (torch.bfloat16, 0.03)], ids=str)
@pytest.mark.parametrize("autocast", [False, True], ids=["half weights", "autocast"])
def test_half_precision_is_finite_and_close(dtype, tolerance, autocast):
    network, x = network_of(out_size=64), golden_input(2, 3, 64, 64)
    expected = network(x)[0]
    if autocast:
        with torch.autocast("cpu", dtype):
            actual = network.float()(x.float())[0]
    else:
        actual = network.to(dtype)(x.to(dtype))[0]
    assert torch.isfinite(actual).all()
    error = (actual.double() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < tolerance


def test_channels_last_is_taken_and_gives_the_same():
    network, x = network_of(), golden_input(2, 3, 32, 32)
    expected = network(x)[0]
    network.to(memory_format=torch.channels_last)
    actual = network(x.contiguous(memory_format=torch.channels_last))[0]
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def test_skip_connection_commutes_with_enlarging():
    block = ResBlock(4, 6, mode="up").double()
    x = golden_input(1, 4, 5, 7)
    enlarged = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    torch.testing.assert_close(block(x), block.skip(enlarged), rtol=0, atol=1e-12)
