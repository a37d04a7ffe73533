"""Distances between features of a network that has seen many pictures, and their weighted sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from revisage.training.losses.gram import gram_distance
from revisage.training.losses.pixel import Distance, l1

VGG19_WEIGHTS: Mapping[str, float] = {
    "conv1_2": 0.1,
    "conv2_2": 0.1,
    "conv3_4": 1.0,
    "conv4_4": 1.0,
    "conv5_4": 1.0,
}
"""GFP-GAN's layers (before their ReLU) and weights, for both the perceptual and the style loss."""


def features_of_both(
    extract: Callable[[Tensor], Sequence[Tensor]], restored: Tensor, gt: Tensor
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Features of restored pictures, and of the originals without a gradient.

    Args:
        extract: pictures -> feature maps, such as :class:`revisage.models.nets.vgg.VGG19Features`.
        restored: (N, 3, H, W).
        gt: likewise.
    """
    with torch.no_grad():
        targets = extract(gt)
    return extract(restored), targets


def perceptual_loss(
    features: Sequence[Tensor],
    targets: Sequence[Tensor],
    weights: Sequence[float] = tuple(VGG19_WEIGHTS.values()),
    distance: Distance = l1,
) -> Tensor:
    """Sum over layers of weight * mean distance, a scalar (Johnson et al. 2016, arXiv 1603.08155).

    Args:
        features: (N, C, H, W) a layer, of the restored pictures.
        targets: likewise, of the originals.
        weights: one a layer.
        distance: between two maps.
    """
    layers = zip(features, targets, weights, strict=True)
    return torch.stack([weight * distance(mine, theirs).mean() for mine, theirs, weight in layers]).sum()


def style_loss(
    features: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[float] = tuple(VGG19_WEIGHTS.values())
) -> Tensor:
    """Sum over layers of weight * mean absolute difference of Gram matrices, a scalar; arguments as above."""
    return perceptual_loss(features, targets, weights, gram_distance)
