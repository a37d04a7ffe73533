"""Penalties on gradients: R1 for discriminators, the length of paths for generators.

Both are differentiated a second time when minimised. The networks are called here, outside autocast: gradients of
gradients leave the range of float16. Both are computed "lazily", every few steps and weighted accordingly (Karras et
al. 2020, arXiv 1912.04958, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from revisage.models.nets.precision import accurate, without_autocast


def r1_penalty(
    discriminate: Callable[[Tensor], Tensor], real: Tensor, weight: float = 10.0, every: int = 1
) -> tuple[Tensor, Tensor]:
    """How steep the discriminator is at originals (Mescheder et al. 2018, arXiv 1801.04406, equation 9).

    weight / 2 * every * mean over pictures of |d discriminate / d picture|².

    Args:
        discriminate: pictures -> logits of any shape; twice differentiable.
        real: (N, 3, H, W) originals.
        weight: gamma in the paper.
        every: steps between two uses of the penalty, which stands for all of them.

    Returns:
        the penalty, a scalar; the logits. Biases of the last layers have no part in the penalty: where every parameter
        needs a gradient (as in distributed training), add ``0 * logits.sum()``.
    """
    with without_autocast(real):
        pictures = real.detach().to(accurate(real.dtype)).requires_grad_()
        logits = discriminate(pictures)
        (slope,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
        return weight / 2 * every * slope.square().sum((1, 2, 3)).mean(), logits


def path_length_penalty(
    synthesize: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise: Tensor,
    mean: Tensor,
    decay: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """How unevenly the generator answers steps of one size (Karras et al. 2020, arXiv 1912.04958, equation 4).

    The length of a path is sqrt(mean over layers of |d (pictures · noise / sqrt(H W)) / d latents|²); the penalty is
    the mean squared deviation from its running mean.

    Args:
        synthesize: latents -> pictures (N, 3, H, W); twice differentiable.
        latents: (N, L, C) styles of the L layers, which require gradients (of the mapping network, say).
        noise: (N, 3, H, W) standard normal.
        mean: () running mean of lengths, 0 at the start: state to be kept between calls (and averaged over processes).
        decay: share of the new lengths in the new mean.

    Returns:
        the penalty, a scalar, not weighted (the paper's weight is 2, times the steps between uses); the new mean.
    """
    with without_autocast(latents):
        latents = latents.to(accurate(latents.dtype))
        pictures = synthesize(latents)
        shown = (pictures * noise.to(pictures)).sum() / math.sqrt(pictures.shape[2] * pictures.shape[3])
        (slope,) = torch.autograd.grad(shown, latents, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        updated = mean.to(lengths).lerp(lengths.mean(), decay)
        return (lengths - updated).square().mean(), updated.detach()
