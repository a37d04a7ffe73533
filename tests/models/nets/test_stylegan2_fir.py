"""The original StyleGAN2 and its bilinear variants against the reference, their definition, and their promises."""

import copy
import math

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes
from torch.nn import functional as F

from revisage.models.nets.resampling import TAPS, resampling
from revisage.models.nets.stylegan2_fir import (
    ModulatedConv2d,
    StyleGAN2Generator,
    StyleGAN2GeneratorBilinear,
    StyleGAN2GeneratorBilinearSFT,
    StyleGAN2GeneratorSFT,
)

KINDS = [StyleGAN2Generator, StyleGAN2GeneratorBilinear]
HALF = [torch.float16, torch.bfloat16]
KERNELS = [TAPS, "bilinear", "nearest"]


def generator_of(kind=StyleGAN2Generator, out_size=32, **more):
    network = kind(out_size, num_style_feat=32, num_mlp=2, channel_multiplier=1, narrow=0.0625, **more).double().eval()
    network.load_state_dict(golden_state(network.state_dict(), equalised=True))
    return network.requires_grad_(False)


def codes(batch=2, seed=0):
    return torch.randn(batch, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_definition(conv, x, style, sample_mode, kernel):
    """Modulate the weights, one convolution a sample (Karras et al. 2020, equations 1 to 3)."""
    resample, outputs = resampling(kernel), []
    for sample, scale in zip(x, conv.modulation(style), strict=True):
        weight = conv.weight[0] / math.sqrt(conv.weight[0, 0].numel()) * scale[None, :, None, None]
        if conv.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + conv.eps)
        size = weight.shape[-1]
        if sample_mode == "upsample":
            outputs.append(resample.conv_up(sample[None], weight))
        elif sample_mode == "downsample":
            stride, padding = resample.stride_and_padding(size)
            outputs.append(F.conv2d(resample.before_down(sample[None], size), weight, stride=stride, padding=padding))
        else:
            outputs.append(F.conv2d(sample[None], weight, padding=size // 2))
    return torch.cat(outputs)


@pytest.mark.parametrize("sample_mode", [None, "upsample", "downsample"])
@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_scaling_activations_equals_modulating_weights(sample_mode, demodulate, kernel):
    torch.manual_seed(0)
    conv = ModulatedConv2d(6, 5, 3, 8, demodulate, sample_mode, kernel).double()
    x, style = torch.randn(3, 6, 8, 8).double(), torch.randn(3, 8).double()
    expected = by_definition(conv, x, style, sample_mode, kernel)
    torch.testing.assert_close(conv(x, style), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sample_mode", [None, "upsample", "downsample"])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("demodulate", [True, False])
@torch.no_grad()
def test_one_image_gives_what_it_gives_among_others(demodulate, sample_mode, kernel):
    torch.manual_seed(0)
    conv = ModulatedConv2d(6, 5, 3, 8, demodulate, sample_mode, kernel).double()
    x, style = torch.randn(3, 6, 8, 8).double(), torch.randn(3, 8).double()
    alone = torch.cat([conv(one[None], code[None], 1.5) for one, code in zip(x, style, strict=True)])
    torch.testing.assert_close(alone, 1.5 * conv(x, style), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sample_mode", [None, "upsample", "downsample"])
def test_gradients_equal_those_of_modulated_weights(sample_mode):
    torch.manual_seed(0)
    conv = ModulatedConv2d(6, 5, 3, 8, sample_mode=sample_mode).double()
    x = torch.randn(2, 6, 4, 4).double().requires_grad_()
    style = torch.randn(2, 8).double().requires_grad_()
    inputs = [x, style, *conv.parameters()]
    ours = torch.autograd.grad(conv(x, style).square().sum(), inputs)
    expected = torch.autograd.grad(by_definition(conv, x, style, sample_mode, TAPS).square().sum(), inputs)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_an_unknown_sample_mode_is_refused():
    with pytest.raises(ValueError, match="sample_mode"):
        ModulatedConv2d(4, 4, 3, 8, sample_mode="sideways")


def test_images_equal_the_reference():
    network, expected, z = generator_of(), golden_arrays("stylegan2_small"), golden_input(2, 32)
    image = network([z])[0]
    torch.testing.assert_close(image, torch.from_numpy(expected["image"]), rtol=0, atol=1e-9)
    centre = torch.zeros(1, 32, dtype=torch.float64)
    drawn = network([z], truncation=0.7, truncation_latent=centre)[0]
    torch.testing.assert_close(drawn, torch.from_numpy(expected["image_trunc07"]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_shapes_are_the_published_ones(kind):
    with torch.device("meta"):
        network = kind(512, channel_multiplier=1)
    published = manifest("StyleGAN2Generator_512_c1")
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("out_size", [32, 64, 128, 256])
def test_image_has_the_size_asked_for(kind, out_size):
    network = kind(out_size, 16, 1, 0.5, narrow=0.0625).requires_grad_(False)
    assert network([torch.randn(1, 16)])[0].shape == (1, 3, out_size, out_size)


def test_the_largest_size_can_be_built():
    with torch.device("meta"):
        network = StyleGAN2Generator(1024)
        assert network([torch.empty(1, 512)])[0].shape == (1, 3, 1024, 1024)


@pytest.mark.parametrize("kind", KINDS)
def test_images_do_not_depend_on_their_batch(kind):
    network = generator_of(kind)
    together = network([codes(3)])[0]
    torch.testing.assert_close(network([codes(3)[1:2]])[0], together[1:2], rtol=0, atol=1e-12)


def test_images_are_the_same_every_time_unless_asked_otherwise():
    network = generator_of()
    assert torch.equal(network([codes()])[0], network([codes()])[0])
    assert not torch.equal(network([codes()], randomize_noise=True)[0], network([codes()])[0])


def test_the_variants_differ_although_their_keys_agree():
    original, bilinear = generator_of(), generator_of(StyleGAN2GeneratorBilinear)
    assert shapes(original) == shapes(bilinear)
    assert not torch.allclose(original([codes()])[0], bilinear([codes()])[0], atol=0.1)


@pytest.mark.parametrize("kind", [StyleGAN2GeneratorSFT, StyleGAN2GeneratorBilinearSFT])
@pytest.mark.parametrize("sft_half", [True, False])
def test_neutral_conditions_change_nothing_and_others_do(kind, sft_half):
    network = generator_of(kind, sft_half=sft_half)
    conditions = []
    for side in (8, 16, 32):
        like = torch.empty(2, 16 if sft_half else 32, side, side, dtype=torch.float64)
        conditions += [torch.ones_like(like), torch.zeros_like(like)]
    unconditional = network([codes()])[0]
    torch.testing.assert_close(network([codes()], conditions)[0], unconditional, rtol=0, atol=1e-12)
    assert not torch.allclose(network([codes()], [c + 1 for c in conditions])[0], unconditional)


def test_a_copy_makes_the_same_image():
    network = generator_of()
    assert torch.equal(copy.deepcopy(network)([codes()])[0], network([codes()])[0])


def test_channels_last_changes_the_layout_only():
    network = generator_of()
    expected = network([codes()])[0]
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network([codes()])[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("size", [0.0, 1e-6, 1.0, 1e4])
@pytest.mark.parametrize("sample_mode", [None, "upsample"])
def test_no_style_is_too_extreme_for_half_precision(dtype, size, sample_mode):
    torch.manual_seed(0)
    conv = ModulatedConv2d(32, 16, 3, 8, sample_mode=sample_mode).to(dtype)
    x, style = torch.randn(2, 32, 8, 8).to(dtype), (size * torch.randn(2, 8)).to(dtype)
    expected = conv.double()(x.double(), style.double())
    actual = conv.to(dtype)(x, style)
    assert actual.dtype == dtype
    precision = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(actual.double(), expected, rtol=precision, atol=precision)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", KINDS)
def test_whole_generator_stands_extreme_styles_in_half_precision(kind, dtype):
    network = generator_of(kind)
    style = (2e4 * codes()).clamp(-6e4, 6e4)
    expected = network([style], input_is_latent=True)[0]
    actual = network.to(dtype)([style.to(dtype)], input_is_latent=True)[0]
    assert actual.dtype == dtype
    assert torch.isfinite(actual).all()
    limit = torch.finfo(dtype).max
    error = (actual.double() - expected.clamp(-limit, limit)).square().mean().sqrt()
    assert error < 32 * torch.finfo(dtype).eps * expected.square().mean().sqrt()
