"""StyleGAN2 against its definition (weights modulated per sample), its published keys, and its promises."""

import pytest
import torch
from golden_weights import golden_state, manifest, shapes
from torch.nn import functional as F

from revisage.models.nets.stylegan2 import ModulatedConv2d, StyleConv, StyleGAN2GeneratorClean, StyleGAN2GeneratorCSFT

HALF = [torch.float16, torch.bfloat16]


def generator_of(kind=StyleGAN2GeneratorClean, out_size=32, **more):
    network = kind(out_size, num_style_feat=32, num_mlp=2, channel_multiplier=1, narrow=0.0625, **more).double().eval()
    network.load_state_dict(golden_state(network.state_dict()))
    return network.requires_grad_(False)


def codes(batch=2, seed=0):
    return torch.randn(batch, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_definition(conv, x, style):
    """Modulate the weights, one convolution a sample (Karras et al. 2020, equations 1 to 3)."""
    outputs = []
    for sample, scale in zip(x, conv.modulation(style), strict=True):
        weight = conv.weight[0] * scale[None, :, None, None]
        if conv.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + conv.eps)
        factor = {"upsample": 2.0, "downsample": 0.5, None: 1.0}[conv.sample_mode]
        resized = F.interpolate(sample[None], scale_factor=factor, mode="bilinear", align_corners=False)
        outputs.append(F.conv2d(resized, weight, padding=conv.kernel_size // 2))
    return torch.cat(outputs)


@pytest.mark.parametrize("sample_mode", [None, "upsample", "downsample"])
@pytest.mark.parametrize("demodulate", [True, False])
def test_scaling_activations_equals_modulating_weights(sample_mode, demodulate):
    torch.manual_seed(0)
    conv = ModulatedConv2d(6, 5, 3, 8, demodulate, sample_mode).double()
    x, style = torch.randn(3, 6, 8, 8).double(), torch.randn(3, 8).double()
    torch.testing.assert_close(conv(x, style), by_definition(conv, x, style), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sample_mode", [None, "upsample", "downsample"])
@pytest.mark.parametrize("demodulate", [True, False])
@torch.no_grad()
def test_one_image_gives_what_it_gives_among_others(demodulate, sample_mode):
    torch.manual_seed(0)
    conv = ModulatedConv2d(6, 5, 3, 8, demodulate, sample_mode).double()
    x, style = torch.randn(3, 6, 8, 8).double(), torch.randn(3, 8).double()
    bias = torch.randn(5).double()
    alone = torch.cat([conv(one[None], code[None], 1.5, bias) for one, code in zip(x, style, strict=True)])
    expected = 1.5 * conv(x, style) + bias[:, None, None]
    torch.testing.assert_close(alone, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(conv(x, style, 1.5, bias), expected, rtol=0, atol=1e-12)


def test_gradients_equal_those_of_modulated_weights():
    torch.manual_seed(0)
    conv = ModulatedConv2d(6, 5, 3, 8).double()
    x = torch.randn(2, 6, 4, 4).double().requires_grad_()
    style = torch.randn(2, 8).double().requires_grad_()
    inputs = [x, style, *conv.parameters()]
    ours = torch.autograd.grad(conv(x, style).square().sum(), inputs)
    expected = torch.autograd.grad(by_definition(conv, x, style).square().sum(), inputs)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_an_unknown_sample_mode_is_refused():
    with pytest.raises(ValueError, match="sample_mode"):
        ModulatedConv2d(4, 4, 3, 8, sample_mode="sideways")


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("size", [0.0, 1e-6, 1.0, 1e4, 6e4])
def test_no_style_is_too_extreme_for_half_precision(dtype, size):
    torch.manual_seed(0)
    conv = ModulatedConv2d(32, 16, 3, 8).to(dtype)
    x, style = torch.randn(2, 32, 8, 8).to(dtype), (size * torch.randn(2, 8)).clamp(-6e4, 6e4).to(dtype)
    expected = ModulatedConv2d.forward(conv.double(), x.double(), style.double())
    actual = conv.to(dtype)(x, style)
    assert actual.dtype == dtype
    precision = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(actual.double(), expected, rtol=precision, atol=precision)


@pytest.mark.parametrize("dtype", HALF)
def test_a_filter_of_zeros_gives_zeros_in_half_precision(dtype):
    conv = ModulatedConv2d(4, 4, 3, 8).to(dtype)
    torch.nn.init.zeros_(conv.weight)
    assert not conv(torch.ones(1, 4, 4, 4, dtype=dtype), torch.full((1, 8), 1e4, dtype=dtype)).any()


@pytest.mark.parametrize("dtype", HALF)
def test_autocast_keeps_factors_in_full_precision(dtype):
    torch.manual_seed(0)
    conv = StyleConv(16, 16, 3, 8)
    x, style, noise = torch.randn(1, 16, 8, 8), 1e6 * torch.randn(1, 8), torch.zeros(1, 1, 8, 8)
    with torch.autocast("cpu", dtype):
        actual = conv(x, style, noise)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.float(), conv(x, style, noise), rtol=0.05, atol=16 * torch.finfo(dtype).eps)


def test_channels_last_changes_the_layout_only():
    network = generator_of()
    expected = network([codes()])[0]
    network.to(memory_format=torch.channels_last)
    assert network.style_convs[0].modulated_conv.weight[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network([codes()])[0], expected, rtol=0, atol=1e-12)


def test_keys_and_shapes_are_the_published_ones():
    prefix = "stylegan_decoder."
    published = manifest("GFPGANv1Clean_c2")["state_dict"]
    expected = {key.removeprefix(prefix): shape for key, shape in published.items() if key.startswith(prefix)}
    with torch.device("meta"):
        assert shapes(StyleGAN2GeneratorClean(512)) == expected


@pytest.mark.parametrize("out_size", [8, 32, 64, 128, 256])
def test_image_has_the_size_asked_for(out_size):
    network = StyleGAN2GeneratorClean(out_size, 16, 1, 0.5, 0.0625)
    assert network([torch.randn(1, 16)])[0].shape == (1, 3, out_size, out_size)


@pytest.mark.parametrize("out_size", [4, 48, 2048])
def test_sizes_that_are_no_level_are_refused(out_size):
    with pytest.raises(ValueError, match="out_size"), torch.device("meta"):
        StyleGAN2GeneratorClean(out_size)


def test_images_are_the_same_every_time():
    network = generator_of()
    assert torch.equal(network([codes()])[0], network([codes()])[0])


def test_random_noise_changes_the_image():
    network = generator_of()
    assert not torch.equal(network([codes()], randomize_noise=True)[0], network([codes()])[0])


def test_a_generator_makes_random_noise_repeatable():
    network = generator_of()
    first, second = (network([codes()], generator=torch.Generator().manual_seed(5))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, network([codes()])[0])


def test_given_noise_replaces_the_stored():
    network = generator_of()
    stored = [network.noises.get_buffer(f"noise{layer}") for layer in range(network.num_layers)]
    assert torch.equal(network([codes()], noise=stored)[0], network([codes()])[0])
    assert not torch.equal(network([codes()], noise=network.make_noise())[0], network([codes()])[0])


def test_noise_for_some_layers_only_is_refused():
    network = generator_of()
    with pytest.raises(ValueError, match="7 layers, got 3"):
        network([codes()], noise=network.make_noise()[:3])


def test_images_do_not_depend_on_their_batch():
    network = generator_of()
    together = network([codes(3)])[0]
    torch.testing.assert_close(network([codes(3)[1:2]])[0], together[1:2], rtol=0, atol=1e-12)


def test_latents_given_back_make_the_same_image():
    network = generator_of()
    image, latents = network([codes()], return_latents=True)
    assert latents.shape == (2, network.num_latent, 32)
    assert torch.equal(network([latents], input_is_latent=True)[0], image)


def test_mixing_takes_early_layers_from_the_first_style():
    network = generator_of()
    first, second = codes(seed=1), codes(seed=2)
    latents = network([first, second], inject_index=3, return_latents=True)[1]
    assert torch.equal(latents[:, 2], network.get_latent(first))
    assert torch.equal(latents[:, 3], network.get_latent(second))


def test_truncation_to_nothing_gives_the_mean_image():
    network = generator_of()
    mean = network.get_latent(codes(2)).mean(0, keepdim=True)
    image = network([codes(1)], truncation=0, truncation_latent=mean)[0]
    torch.testing.assert_close(image, network([mean], input_is_latent=True)[0], rtol=0, atol=1e-12)


def test_truncation_needs_a_latent():
    with pytest.raises(ValueError, match="truncation_latent"):
        generator_of()([codes()], truncation=0.5)


@pytest.mark.parametrize("sft_half", [True, False])
def test_neutral_conditions_change_nothing(sft_half):
    network = generator_of(StyleGAN2GeneratorCSFT, sft_half=sft_half)
    width = 16 if sft_half else 32
    conditions = []
    for side, share in ((8, 1), (16, 1), (32, 1)):
        like = torch.empty(2, width // share, side, side, dtype=torch.float64)
        conditions += [torch.ones_like(like), torch.zeros_like(like)]
    torch.testing.assert_close(network([codes()], conditions)[0], network([codes()])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", HALF)
def test_whole_generator_stands_extreme_styles_in_half_precision(dtype):
    network = generator_of()
    style = (2e4 * codes()).clamp(-6e4, 6e4)
    expected = network([style], input_is_latent=True)[0]
    actual = network.to(dtype)([style.to(dtype)], input_is_latent=True)[0]
    assert actual.dtype == dtype
    assert torch.isfinite(actual).all()
    limit = torch.finfo(dtype).max
    error = (actual.double() - expected.clamp(-limit, limit)).square().mean().sqrt()
    assert error < 32 * torch.finfo(dtype).eps * expected.square().mean().sqrt()
