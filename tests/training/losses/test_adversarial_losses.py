from typing import get_args

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from revisage.training.losses.gan import GanLoss, adaptive_weight, discriminator_loss, generator_loss

KINDS = get_args(GanLoss)
REAL, FAKE = torch.tensor([2.0, -0.5]), torch.tensor([-3.0, 0.5])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vanilla", F.binary_cross_entropy_with_logits(FAKE, torch.ones(2))),
        ("wgan_softplus", F.softplus(-FAKE).mean()),
        ("lsgan", F.mse_loss(FAKE, torch.ones(2))),
        ("wgan", torch.tensor(1.25)),
        ("hinge", torch.tensor(1.25)),
    ],
)
def test_the_generators_part(kind, expected):
    torch.testing.assert_close(generator_loss(FAKE, kind), expected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "vanilla",
            F.binary_cross_entropy_with_logits(REAL, torch.ones(2))
            + F.binary_cross_entropy_with_logits(FAKE, torch.zeros(2)),
        ),
        ("wgan_softplus", F.softplus(-REAL).mean() + F.softplus(FAKE).mean()),
        ("lsgan", F.mse_loss(REAL, torch.ones(2)) + F.mse_loss(FAKE, torch.zeros(2))),
        ("wgan", torch.tensor(-1.25 - 0.75)),
        ("hinge", torch.tensor((0 + 1.5) / 2 + (0 + 1.5) / 2)),
    ],
)
def test_the_discriminators_part(kind, expected):
    torch.testing.assert_close(discriminator_loss(REAL, FAKE, kind), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_helps_the_one_harms_the_other(kind):
    fake = torch.tensor([0.25], requires_grad=True)
    (up,) = torch.autograd.grad(generator_loss(fake, kind), fake)
    (down,) = torch.autograd.grad(discriminator_loss(REAL, fake, kind), fake)
    assert up < 0 < down


@pytest.mark.parametrize("kind", KINDS)
def test_gan_derivatives_are_right(kind):
    logits = [torch.tensor([0.3, -1.7, 2.2], dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert gradcheck(lambda fake: generator_loss(fake, kind), logits[0])
    assert gradcheck(lambda real, fake: discriminator_loss(real, fake, kind), logits)


@pytest.mark.parametrize("kind", KINDS)
def test_large_logits_in_half_precision_stay_finite(kind):
    logits = torch.tensor([60000.0, -60000.0], dtype=torch.float16)
    assert torch.isfinite(generator_loss(logits, kind))
    assert torch.isfinite(discriminator_loss(logits, -logits, kind))


def test_the_adaptive_weight_is_the_ratio_of_pulls_on_the_last_layer():
    layer = torch.tensor([3.0, 4.0], requires_grad=True)
    weight = adaptive_weight(5 * layer.square().sum() / 2, 2 * layer.square().sum() / 2, layer)
    assert float(weight) == pytest.approx(25 / (10 + 1e-4))
    assert not weight.requires_grad


def test_the_adaptive_weight_is_limited():
    layer = torch.ones(1, requires_grad=True)
    assert float(adaptive_weight(1e6 * layer.sum(), 0 * layer.sum(), layer)) == 1e4


def test_both_losses_can_be_differentiated_after_weighing_them():
    layer = torch.ones(2, requires_grad=True)
    reconstruction, adversarial = layer.square().sum(), layer.pow(3).sum()
    weight = adaptive_weight(reconstruction, adversarial, layer)
    (reconstruction + weight * adversarial).backward()
    torch.testing.assert_close(layer.grad, 2 + 3 * weight.expand(2))
