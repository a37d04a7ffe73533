"""What generator and discriminator play for."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.precision import accurate

GanLoss: TypeAlias = Literal["vanilla", "wgan_softplus", "lsgan", "wgan", "hinge"]
"""``vanilla``, binary cross entropy (Goodfellow et al. 2014, arXiv 1406.2661), the generator's part non-saturating;
``wgan_softplus``, what StyleGAN2 and GFP-GAN call logistic, the same function by its other name;
``lsgan``, squares (Mao et al. 2016, arXiv 1611.04076); ``wgan``, differences (Arjovsky et al. 2017, arXiv 1701.07875);
``hinge`` (Lim and Ye 2017, arXiv 1705.02894)."""


def generator_loss(fake: Tensor, kind: GanLoss) -> Tensor:
    """How little a discriminator is taken in, a scalar.

    Args:
        fake: logits of generated pictures, any shape; large means "looks real".
        kind: vanilla and wgan_softplus: mean softplus(-fake); lsgan: mean (fake - 1)²; wgan and hinge: -mean fake.
    """
    fake = fake.to(accurate(fake.dtype))
    match kind:
        # Cross entropy with label 1: -log sigmoid(x) = softplus(-x).
        case "vanilla" | "wgan_softplus":
            return F.softplus(-fake).mean()
        case "lsgan":
            return (fake - 1).square().mean()
        case "wgan" | "hinge":
            return -fake.mean()


def discriminator_loss(real: Tensor, fake: Tensor, kind: GanLoss) -> Tensor:
    """How badly the discriminator tells originals from generated pictures, a scalar.

    Args:
        real: logits of originals, any shape; large means "looks real".
        fake: logits of generated pictures, of whose generator nothing is to be learnt (detach them).
        kind: vanilla and wgan_softplus: mean softplus(-real) + mean softplus(fake); lsgan: mean (real - 1)² +
            mean fake²; wgan: mean fake - mean real; hinge: mean relu(1 - real) + mean relu(1 + fake).
    """
    real, fake = real.to(accurate(real.dtype)), fake.to(accurate(fake.dtype))
    match kind:
        case "vanilla" | "wgan_softplus":
            return F.softplus(-real).mean() + F.softplus(fake).mean()
        case "lsgan":
            return (real - 1).square().mean() + fake.square().mean()
        case "wgan":
            return fake.mean() - real.mean()
        case "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor, largest: float = 1e4) -> Tensor:
    """The weight that lets the adversarial loss pull as hard as the reconstruction does, a constant to the gradient.

    |gradient of reconstruction| / (|gradient of adversarial| + 1e-4), at most ``largest``; Esser et al. 2021 (arXiv
    2012.09841), equation 7. RestoreFormer multiplies it by 0.8.

    Args:
        reconstruction: scalar loss, pixel and perceptual terms together.
        adversarial: scalar loss of the generator, not weighted yet.
        last_layer: the weight of the generator's last layer, on which both depend.
        largest: limit.

    Returns:
        a scalar; the graphs of both losses are kept.
    """
    slopes = (torch.autograd.grad(loss, last_layer, retain_graph=True)[0] for loss in (reconstruction, adversarial))
    pull, push = (torch.linalg.vector_norm(slope.to(accurate(slope.dtype))) for slope in slopes)
    return (pull / (push + 1e-4)).clamp(max=largest).detach()
