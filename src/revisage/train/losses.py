"""Losses of restorers: pure functions of tensors, RGB in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def pixel_loss(restored: Tensor, gt: Tensor, detail: Tensor) -> Tensor:
    """Mean absolute difference, at the resolution that each original really has.

    Args:
        restored: (N, 3, H, W).
        gt: likewise.
        detail: (N,) 1 where ``gt`` has detail at full size; 0 where it was enlarged from half, and is compared there.
    """
    fine = (restored - gt).abs().mean((1, 2, 3))
    coarse = (F.avg_pool2d(restored, 2) - F.avg_pool2d(gt, 2)).abs().mean((1, 2, 3))
    return (detail * fine + (1 - detail) * coarse).mean()


def feature_distance(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """(N,) mean over positions and stages of 1 - cosine between feature vectors (N, C, H, W), as in LPIPS-like figures.

    Zhang et al. 2018 (arXiv 1801.03924), with all channels and stages counting alike.
    """
    stages = [
        (1 - F.cosine_similarity(mine.float(), theirs.float(), dim=1, eps=1e-6)).mean((1, 2))
        for mine, theirs in zip(features, targets, strict=True)
    ]
    return torch.stack(stages).mean(0)
