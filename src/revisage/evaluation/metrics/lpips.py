"""LPIPS, the learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924), on VGG16.

The features of each stage are brought to unit length at every place; the squared differences are weighted by channel,
summed, averaged over places and summed over the stages (equation 1). The published figure needs the published VGG16 and
the published channel weights. Without them every channel of every stage counts alike: then the distance is the mean
over places and stages of 1 - cosine, which must not be put beside published figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from revisage.evaluation.metrics.image import RGB8
from revisage.models.nets.vgg import VGG16Features

FACE = (120, 440), (96, 416)
"""Rows and columns of an aligned crop of 512 pixels that hold the face."""
EPSILON = 1e-10
"""Added to lengths before dividing by them, as in the published code."""


def face_region(picture: RGB8) -> RGB8:
    """The middle of an aligned (S, S, 3) crop: brow to chin, without most of the background."""
    ratio = picture.shape[0] / 512
    rows, columns = (slice(round(low * ratio), round(high * ratio)) for low, high in FACE)
    return picture[rows, columns]


def unit_features(network: VGG16Features, x: Tensor) -> list[Tensor]:
    """(N, 3, H, W) RGB in [-1, 1] -> a map a stage, of unit length along its channels; differentiable."""
    # vector_norm, unlike a square root, has a gradient where all features are zero.
    return [stage / (torch.linalg.vector_norm(stage, dim=1, keepdim=True) + EPSILON) for stage in network(x)]


def distance(a: Sequence[Tensor], b: Sequence[Tensor], weights: Sequence[Tensor] | None = None) -> Tensor:
    """Compare pictures by their :func:`unit_features`; differentiable.

    Args:
        a: a map (N, C, H, W) a stage.
        b: likewise.
        weights: (C,) a stage, the published ones; None: all channels of all stages alike.

    Returns:
        (N,) distances, 0 for equal pictures.
    """
    differences = [(x - y).square() for x, y in zip(a, b, strict=True)]
    if weights is None:
        stages = [stage.sum(1) / (2 * len(differences)) for stage in differences]
    else:
        stages = [(stage * w[:, None, None]).sum(1) for stage, w in zip(differences, weights, strict=True)]
    means = [stage.mean((1, 2)) for stage in stages]
    return sum(means[1:], means[0])
