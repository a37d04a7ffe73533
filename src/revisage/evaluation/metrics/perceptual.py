"""Perceptual distances of VGG16 features, differentiable: metrics and losses are the same functions.

The feature vectors at each position of each stage are brought to unit length and subtracted. LPIPS (Zhang et al. 2018,
arXiv 1801.03924, equation 1) weighs the squared differences by channel, and needs the published VGG16 and channel
weights to be comparable with published values. Without such weights, all channels and stages alike, what remains is the
mean of 1 - cosine: ``vgg_cosine``, which must not be put beside published values of LPIPS.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from revisage.evaluation.metrics.image import RGB8
from revisage.models.nets.precision import accurate

FACE = (120, 440), (96, 416)
"""Rows and columns of an aligned crop of 512 pixels that hold the face."""
EPSILON = 1e-10
"""Added to lengths before dividing by them, as in the published code."""


def face_region(image: RGB8) -> RGB8:
    """The middle of an aligned (S, S, 3) crop: brow to chin, without most of the background."""
    ratio = image.shape[0] / 512
    rows, columns = (slice(round(low * ratio), round(high * ratio)) for low, high in FACE)
    return image[rows, columns]


def lpips(features: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Sum over stages of the mean over positions of ``sum_c w_c (f_c / |f| - t_c / |t|)^2``, (N,), 0 if they are equal.

    Features of a stage are (N, C, H, W), after its ReLU, in any precision; ``weights`` (C,) are the published linear
    layers.
    """
    stages = [
        (squares * w.to(squares)[:, None, None]).sum(1).mean((1, 2))
        for squares, w in zip(_squared_differences(features, targets), weights, strict=True)
    ]
    return torch.stack(stages).sum(0)


def vgg_cosine(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Mean over stages and positions of 1 - cosine between features, ``|f / |f| - t / |t||^2 / 2``, (N,) in [0, 2].

    Features of a stage are (N, C, H, W), after its ReLU, in any precision.
    """
    stages = [squares.sum(1).mean((1, 2)) / 2 for squares in _squared_differences(features, targets)]
    return torch.stack(stages).mean(0)


def _squared_differences(features: Sequence[Tensor], targets: Sequence[Tensor]) -> list[Tensor]:
    return [(_unit(mine) - _unit(theirs)).square() for mine, theirs in zip(features, targets, strict=True)]


def _unit(features: Tensor) -> Tensor:
    """Vectors of length 1 along the channels, in float32 or better; 0 where nothing is active."""
    features = features.to(accurate(features.dtype))
    # vector_norm has gradient 0 at 0, where the root of a sum of squares has none.
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPSILON)
