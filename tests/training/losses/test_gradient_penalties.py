import math

import pytest
import torch
from golden_weights import golden_input, golden_state

from revisage.models.nets.discriminators import StyleGAN2Discriminator
from revisage.training.losses.gan import path_length_penalty, r1_penalty


def quadratic(scale):
    """Logits scale * |x|² / 2, whose slope is scale * x."""
    return lambda x: scale * x.square().sum((1, 2, 3), keepdim=True) / 2


def test_r1_is_the_mean_squared_slope():
    real = golden_input(4, 3, 6, 6)
    expected = 10 / 2 * 9 * real.square().sum() / 4
    assert r1_penalty(quadratic(3), real)[0].item() == pytest.approx(expected.item())


def test_r1_used_lazily_stands_for_the_steps_between():
    real = golden_input(2, 3, 4, 4)
    often, seldom = (r1_penalty(quadratic(1), real, weight=4, every=every)[0] for every in (1, 16))
    assert seldom.item() == pytest.approx(16 * often.item())


def test_r1_gives_the_logits_and_leaves_the_images_alone():
    real = golden_input(2, 3, 4, 4)
    logits = r1_penalty(quadratic(2), real)[1]
    torch.testing.assert_close(logits, quadratic(2)(real))
    assert not real.requires_grad


def test_minimising_r1_teaches_the_discriminator():
    """d/ds of 5 s² mean |x|² is 10 s mean |x|²."""
    real, scale = golden_input(2, 3, 4, 4), torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    r1_penalty(quadratic(scale), real)[0].backward()
    assert float(scale.grad) == pytest.approx(10 * 3 * float(real.square().sum()) / 2)


def test_r1_of_the_real_discriminator_reaches_all_its_weights():
    network = StyleGAN2Discriminator(32, 1, narrow=0.0625).double()
    network.load_state_dict(golden_state(network.state_dict(), equalised=True))
    penalty, logits = r1_penalty(network, golden_input(4, 3, 32, 32))
    (penalty + 0 * logits.sum()).backward()
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum()]
    assert still == ["final_conv.1.bias", "final_linear.0.bias", "final_linear.1.bias"]


def test_r1_is_computed_outside_autocast():
    """A slope of 100,000 is beyond float16."""
    weight = torch.full((1, 3, 1, 1), 1e5)

    def discriminate(x):
        return torch.nn.functional.conv2d(x, weight)

    with torch.autocast("cpu", torch.float16):
        penalty, _ = r1_penalty(discriminate, torch.zeros(1, 3, 64, 64, dtype=torch.float16))
    assert penalty.item() == pytest.approx(5 * 3 * 64 * 64 * 1e10)


def linear(matrices):
    """Latents (N, L, C) -> images (N, 3, 2, 2), the sum over layers of their matrices' products."""
    return lambda latents: torch.einsum("nlc,lcp->np", latents, matrices).view(-1, 3, 2, 2)


@pytest.fixture
def setting():
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(2, 5, 12, generator=generator, dtype=torch.float64)
    latents = torch.randn(3, 2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(3, 3, 2, 2, generator=generator, dtype=torch.float64)
    slopes = torch.einsum("np,lcp->nlc", noise.flatten(1) / math.sqrt(4), matrices)
    return matrices, latents, noise, slopes.square().sum(2).mean(1).sqrt()


def test_path_lengths_and_their_running_mean(setting):
    matrices, latents, noise, lengths = setting
    penalty, mean = path_length_penalty(linear(matrices.requires_grad_()), latents, noise, torch.tensor(2.0), decay=0.1)
    lengths = lengths.detach()
    assert mean.item() == pytest.approx(0.9 * 2 + 0.1 * float(lengths.mean()))
    assert penalty.item() == pytest.approx(float((lengths - mean).square().mean()))
    assert not mean.requires_grad


def test_the_running_mean_comes_to_rest_at_the_mean_length(setting):
    matrices, latents, noise, lengths = setting
    mean = torch.zeros(())
    for _ in range(100):
        mean = path_length_penalty(linear(matrices), latents, noise, mean, decay=0.2)[1]
    assert mean.item() == pytest.approx(float(lengths.mean()))


def test_minimising_the_penalty_teaches_the_generator(setting):
    matrices, latents, noise, _ = setting
    matrices.requires_grad_()

    def penalty(matrices):
        return path_length_penalty(linear(matrices), latents, noise, torch.tensor(1.0))[0]

    assert torch.autograd.gradcheck(penalty, matrices)


def test_the_penalty_is_computed_outside_autocast(setting):
    matrices, latents, noise, _ = setting
    arguments = latents.detach().half().requires_grad_(), noise.half(), torch.tensor(1.0)
    with torch.autocast("cpu", torch.float16):
        penalty, _ = path_length_penalty(linear(100 * matrices.float()), *arguments)
    expected, _ = path_length_penalty(linear(100 * matrices.float()), *(x.float() for x in arguments))
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
