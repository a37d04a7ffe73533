"""Distances between features of a network that has seen many pictures, and their weighted sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.evaluation.metrics import lpips
from revisage.models.nets.precision import accurate
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


def feature_distance(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """(N,) mean over positions and stages of 1 - cosine between feature vectors (N, C, H, W), as in LPIPS-like figures.

    Zhang et al. 2018 (arXiv 1801.03924), with all channels and stages counting alike.
    """
    stages = [
        (1 - F.cosine_similarity(mine.float(), theirs.float(), dim=1, eps=1e-6)).mean((1, 2))
        for mine, theirs in zip(features, targets, strict=True)
    ]
    return torch.stack(stages).mean(0)


def lpips_distance(features: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """(N,) learned perceptual distance, see :mod:`revisage.evaluation.metrics.lpips`, of features of any precision.

    Sum over stages of the mean over positions of sum_c w_c (f_c / |f| - t_c / |t|)².

    Args:
        features: (N, C, H, W) a stage, after its ReLU.
        targets: likewise.
        weights: (C,) a stage, not negative: the published linear layers.
    """
    mine, theirs = ([_unit(stage) for stage in stages] for stages in (features, targets))
    return lpips.distance(mine, theirs, weights)


def _unit(features: Tensor) -> Tensor:
    """Feature vectors of length 1; where nothing is active, 0."""
    features = features.to(accurate(features.dtype))
    # vector_norm has gradient 0 at 0, where the root of a sum of squares has none.
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + lpips.EPSILON)
