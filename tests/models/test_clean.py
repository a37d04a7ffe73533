"""The clean network computes what the bilinear one does, from converted weights."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest

from revisage.errors import CheckpointError
from revisage.models.convert import to_clean
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.models.nets.stylegan2 import StyleGAN2GeneratorClean
from revisage.models.nets.stylegan2_fir import StyleGAN2GeneratorBilinear

SMALL = {"fix_decoder": False, "num_mlp": 2, "narrow": 0.0625}
LATENT = {"input_is_latent": True, "different_w": True, "sft_half": True}


def golden(kind, **arguments):
    network = kind(32, 32, 1, **SMALL, **arguments).double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict(), equalised=True))
    return network


def clean_from(bilinear, **arguments):
    network = GFPGANv1Clean(32, 32, 1, **SMALL, **arguments).double().eval().requires_grad_(False)
    network.load_state_dict(to_clean(bilinear.state_dict()))
    return network


def test_the_converted_network_gives_the_reference_outputs_of_the_bilinear_one():
    image, pictures = clean_from(golden(GFPGANBilinear, **LATENT), **LATENT)(golden_input(2, 3, 32, 32))
    expected = golden_arrays("bilinear_small")
    torch.testing.assert_close(image, torch.from_numpy(expected["image"]), rtol=0, atol=1e-12)
    for level, picture in enumerate(pictures):
        torch.testing.assert_close(picture, torch.from_numpy(expected[f"rgb{level}"]), rtol=0, atol=1e-12)


def random_pair(out_size, num_style_feat, narrow):
    """A bilinear network of random weights (no noise strength or bias is 0) and its clean form, float64."""
    arguments = {"num_style_feat": num_style_feat, "channel_multiplier": 2, "narrow": narrow, **LATENT}
    with torch.device("meta"):
        pair = GFPGANBilinear(out_size, **arguments).eval(), GFPGANv1Clean(out_size, **arguments).eval()
    state = golden_state(pair[0].state_dict(), equalised=True)
    for network, weights in zip(pair, (state, to_clean(state)), strict=True):
        network.load_state_dict(weights, assign=True)
    return pair


@pytest.mark.parametrize(
    ("out_size", "num_style_feat", "narrow"),
    [(64, 64, 0.25), (128, 32, 0.125), pytest.param(512, 512, 1, marks=pytest.mark.slow)],
    ids=["64 pixels", "128 pixels", "published size"],
)
def test_random_networks_restore_the_same_in_their_clean_form(out_size, num_style_feat, narrow):
    bilinear, clean = random_pair(out_size, num_style_feat, narrow)
    x = golden_input(1, 3, out_size, out_size)
    with torch.inference_mode():
        expected, actual = bilinear(x)[0], clean(x)[0]
    assert 0.1 < expected.std() < 10
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def test_the_mapping_network_and_the_noise_are_converted_too():
    bilinear, x = golden(GFPGANBilinear), golden_input(2, 3, 32, 32)
    torch.testing.assert_close(clean_from(bilinear)(x)[0], bilinear(x)[0], rtol=0, atol=1e-12)


def test_the_source_is_not_changed():
    state = golden(GFPGANBilinear, **LATENT).state_dict()
    before = {key: value.clone() for key, value in state.items()}
    converted = to_clean(state)
    assert all(torch.equal(state[key], before[key]) for key in before)
    shared = {value.untyped_storage().data_ptr() for value in state.values()}
    assert not shared & {value.untyped_storage().data_ptr() for value in converted.values()}


def test_a_generator_alone_is_converted():
    bilinear = StyleGAN2GeneratorBilinear(32, 32, 2, 1, narrow=0.0625).double().requires_grad_(False)
    bilinear.load_state_dict(golden_state(bilinear.state_dict(), equalised=True))
    clean = StyleGAN2GeneratorClean(32, 32, 2, 1, narrow=0.0625).double().requires_grad_(False)
    clean.load_state_dict(to_clean(bilinear.state_dict()))
    z = golden_input(2, 32)
    torch.testing.assert_close(clean([z])[0], bilinear([z])[0], rtol=0, atol=1e-12)


def test_keys_and_shapes_of_the_published_size_are_the_published_ones():
    published = {"channel_multiplier": 2, **LATENT}
    with torch.device("meta"):
        state = to_clean(GFPGANBilinear(512, **published).state_dict())
    assert {key: list(value.shape) for key, value in state.items()} == manifest("GFPGANv1Clean_c2")["state_dict"]


def test_an_original_network_would_become_another_function():
    """Why its weights are refused where files are converted: the keys fit, the pictures do not."""
    original, x = golden(GFPGANv1, **LATENT), golden_input(1, 3, 32, 32)
    assert (clean_from(original, **LATENT)(x)[0] - original(x)[0]).abs().max() > 0.1


def test_half_precision_is_promoted():
    state = {key: value.half() for key, value in golden(GFPGANBilinear, **LATENT).state_dict().items()}
    assert {value.dtype for value in to_clean(state).values()} == {torch.float32}


def test_foreign_keys_are_refused():
    with pytest.raises(CheckpointError, match=r"conv9\.weight is no weight of a bilinear"):
        to_clean({"conv9.weight": torch.ones(1)})
