"""The discriminators against the reference's outputs, their published keys, and the penalty they are trained with."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets.discriminators import (
    FacialComponentDiscriminator,
    NLayerDiscriminator,
    PatchDiscriminator,
    StyleGAN2Discriminator,
    minibatch_stddev,
)


def golden(network):
    network = network.double().eval()
    network.load_state_dict(golden_state(network.state_dict(), equalised=True))
    return network


def small(**more):
    return golden(StyleGAN2Discriminator(32, 1, narrow=0.0625, **more))


def test_component_judgement_equals_the_reference():
    logits, features = golden(FacialComponentDiscriminator())(golden_input(1, 3, 20, 20), return_feats=True)
    expected = golden_arrays("comp_disc")
    for actual, name in zip((logits, *features), ("out", "feat0", "feat1"), strict=True):
        torch.testing.assert_close(actual, torch.from_numpy(expected[name]), rtol=0, atol=1e-9)


def test_component_features_are_given_on_request_only():
    assert FacialComponentDiscriminator()(torch.zeros(1, 3, 8, 8))[1] is None


def test_judgement_equals_the_reference():
    expected = torch.from_numpy(golden_arrays("stylegan2_disc_small")["out"])
    torch.testing.assert_close(small()(golden_input(4, 3, 32, 32)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (FacialComponentDiscriminator, "FacialComponentDiscriminator"),
        (lambda: StyleGAN2Discriminator(512, 1), "StyleGAN2Discriminator_512_c1"),
    ],
    ids=["component", "whole"],
)
def test_keys_and_shapes_are_the_published_ones(build, name):
    with torch.device("meta"):
        network = build()
    published = manifest(name)
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]


@pytest.mark.parametrize("out_size", [32, 64, 256])
def test_any_size_is_judged_by_one_number(out_size):
    network = StyleGAN2Discriminator(out_size, 0.5, narrow=0.03125)
    assert network(torch.zeros(2, 3, out_size, out_size)).shape == (2, 1)


def test_another_size_is_refused():
    with pytest.raises(ValueError, match=r"expected \(N, 3, 32, 32\)"):
        small()(torch.zeros(4, 3, 64, 64).double())
    with pytest.raises(ValueError, match="out_size"):
        StyleGAN2Discriminator(48)


@pytest.mark.parametrize("count", [8, 6])
def test_groups_are_judged_apart(count):
    """Of four images where the batch divides into them, else of the next smaller number."""
    network, x = small(), golden_input(count, 3, 32, 32)
    together, apart = network(x), torch.empty(count, 1, dtype=torch.float64)
    apart[::2], apart[1::2] = network(x[::2]), network(x[1::2])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


def test_equal_images_have_no_spread_and_different_ones_their_own():
    x = torch.zeros(2, 3, 4, 4)
    assert minibatch_stddev(x, 4).shape == (2, 1, 4, 4)
    assert minibatch_stddev(x, 4).max() < 1e-3
    x[1] = 4
    torch.testing.assert_close(minibatch_stddev(x, 4), torch.full((2, 1, 4, 4), 2.0))


def test_component_judgements_do_not_depend_on_the_batch():
    network, x = golden(FacialComponentDiscriminator()), golden_input(3, 3, 16, 16)
    torch.testing.assert_close(network(x[1:2])[0], network(x)[0][1:2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("build", [small, lambda: golden(FacialComponentDiscriminator())], ids=["whole", "component"])
def test_the_r1_penalty_is_differentiated_right(build):
    """The penalty's derivative along a direction of the weights, against a difference quotient."""
    network, x = build(), golden_input(2, 3, 32, 32).requires_grad_()
    weight = next(network.parameters())
    direction = torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def penalty():
        logits = network(x)
        logits = logits[0] if isinstance(logits, tuple) else logits
        (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return slope.square().sum()

    (derivative,) = torch.autograd.grad(penalty(), weight)
    values, step, start = [], 1e-6, weight.detach().clone()
    for sign in (1, -1):
        weight.data = start + sign * step * direction
        values.append(penalty().item())
    expected = (values[0] - values[1]) / (2 * step)
    assert (derivative * direction).sum().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.004), (torch.bfloat16, 0.03)], ids=str)
def test_half_precision_is_finite_and_close(dtype, tolerance):
    network, x = small().requires_grad_(False), golden_input(4, 3, 32, 32)
    expected = network(x)
    actual = network.to(dtype)(x.to(dtype))
    assert torch.isfinite(actual).all()
    assert (actual.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_a_logit_of_three_layers_covers_seventy_by_seventy_pixels():
    torch.manual_seed(0)
    network = NLayerDiscriminator().double().eval()  # in training, batch normalisation looks at everything
    x = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = network(x)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows, columns = x.grad[0].abs().sum(0).nonzero().T
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (70, 70)


@pytest.mark.parametrize(("layers", "last"), [(1, 16), (2, 32), (5, 64)])
def test_channels_double_up_to_eightfold(layers, last):
    network = NLayerDiscriminator(ndf=8, n_layers=layers)
    assert network.main[-1].in_channels == last


def test_patch_logits_of_every_scale():
    logits = PatchDiscriminator(width=4, scales=2)(torch.zeros(2, 3, 64, 64))
    assert [tuple(scale.shape) for scale in logits] == [(2, 1, 8, 8), (2, 1, 4, 4)]


def test_a_patch_logit_depends_on_its_neighbourhood_only():
    torch.manual_seed(0)
    network = PatchDiscriminator(width=4, scales=1).eval()
    image = torch.rand(1, 3, 128, 128)
    changed = image.clone()
    changed[..., :16, :16] = 0
    with torch.no_grad():
        difference = (network(image)[0] - network(changed)[0]).abs()[0, 0]
    assert difference[0, 0] > 0
    assert difference[8:, 8:].max() == 0


def test_spectral_normalisation_keeps_it_smooth():
    """Spectral normalisation: large weights do not make it steeper."""
    torch.manual_seed(0)
    network = PatchDiscriminator(width=4, scales=1)
    steep = PatchDiscriminator(width=4, scales=1)
    state = network.state_dict()
    steep.load_state_dict({key: 100 * value if key.endswith("original") else value for key, value in state.items()})
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(network.eval()(image)[0], steep.eval()(image)[0], rtol=1e-3, atol=1e-4)
