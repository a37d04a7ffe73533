"""GAN losses and the penalties on gradients: R1 for discriminators, path length for generators.

The penalties are differentiated a second time when minimized. The networks are called here, outside autocast: gradients
of gradients leave the range of float16. Both are computed "lazily", every few steps and weighted accordingly (Karras et
al. 2020, arXiv 1912.04958, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.precision import accurate, without_autocast

GanLoss: TypeAlias = Literal["vanilla", "wgan_softplus", "lsgan", "wgan", "hinge"]
"""``vanilla``, binary cross entropy (Goodfellow et al. 2014, arXiv 1406.2661), the generator's part non-saturating;
``wgan_softplus``, what StyleGAN2 and GFP-GAN call logistic, the same function by its other name;
``lsgan``, squares (Mao et al. 2016, arXiv 1611.04076); ``wgan``, differences (Arjovsky et al. 2017, arXiv 1701.07875);
``hinge`` (Lim and Ye 2017, arXiv 1705.02894)."""


def generator_loss(fake: Tensor, kind: GanLoss) -> Tensor:
    """How little a discriminator is taken in, a scalar; ``fake``: logits of generated images, large for real.

    vanilla and wgan_softplus: mean softplus(-fake); lsgan: mean (fake - 1)²; wgan and hinge: -mean fake.
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
    """How badly a discriminator tells originals from generated images (detached), a scalar; logits of any shape.

    vanilla and wgan_softplus: mean softplus(-real) + mean softplus(fake); lsgan: mean (real - 1)² + mean fake²; wgan:
    mean fake - mean real; hinge: mean relu(1 - real) + mean relu(1 + fake).
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

    |gradient of reconstruction| / (|gradient of adversarial| + 1e-4), at most ``largest`` (Esser et al. 2021, arXiv
    2012.09841, equation 7). Both scalars depend on ``last_layer``, the weight of the generator's last layer; their
    graphs are kept.
    """
    slopes = (torch.autograd.grad(loss, last_layer, retain_graph=True)[0] for loss in (reconstruction, adversarial))
    pull, push = (torch.linalg.vector_norm(slope.to(accurate(slope.dtype))) for slope in slopes)
    return (pull / (push + 1e-4)).clamp(max=largest).detach()


def r1_penalty(
    discriminate: Callable[[Tensor], Tensor], real: Tensor, weight: float = 10.0, every: int = 1
) -> tuple[Tensor, Tensor]:
    """How steep a discriminator is at originals (N, 3, H, W) (Mescheder et al. 2018, arXiv 1801.04406, equation 9).

    weight / 2 * every * mean over images of |d discriminate / d image|²; ``every``: steps between two uses, each of
    which stands for all. Returns the penalty, a scalar, and the logits. Biases of the last layers have no part in the
    penalty: where every parameter needs a gradient, add ``0 * logits.sum()``.
    """
    with without_autocast(real):
        images = real.detach().to(accurate(real.dtype)).requires_grad_()
        logits = discriminate(images)
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return weight / 2 * every * slope.square().sum((1, 2, 3)).mean(), logits


def path_length_penalty(
    synthesize: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise: Tensor,
    mean: Tensor,
    decay: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """How unevenly the generator answers steps of one size (Karras et al. 2020, arXiv 1912.04958, equation 4).

    The length of a path is sqrt(mean over layers of |d (images · noise / sqrt(H W)) / d latents|²), the penalty the
    mean squared deviation from its running mean, a scalar, not weighted. ``latents`` (N, L, C) are styles of the L
    layers, which require gradients, ``noise`` (N, 3, H, W) standard normal. The caller keeps ``mean``, (), 0 at the
    start, and averages it over processes; ``decay`` is the share of the new lengths in the new one, which is returned
    as well.
    """
    with without_autocast(latents):
        latents = latents.to(accurate(latents.dtype))
        images = synthesize(latents)
        shown = (images * noise.to(images)).sum() / math.sqrt(images.shape[2] * images.shape[3])
        (slope,) = torch.autograd.grad(shown, latents, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        updated = mean.to(lengths).lerp(lengths.mean(), decay)
        return (lengths - updated).square().mean(), updated.detach()
