"""Style: which features occur together, wherever they do (Gatys et al. 2015, arXiv 1508.06576)."""

from __future__ import annotations

from torch import Tensor

from revisage.models.nets.precision import accurate, without_autocast
from revisage.training.losses.pixel import l1


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C) products of all pairs of channels, summed over positions and divided by C H W."""
    with without_autocast(features):
        flat = features.to(accurate(features.dtype)).flatten(2)
        return flat @ flat.mT / flat[0].numel()


def gram_distance(features: Tensor, targets: Tensor) -> Tensor:
    """(N, C, H, W), (N, C, H, W) -> (N,) mean absolute difference of Gram matrices."""
    return l1(gram(features), gram(targets))
