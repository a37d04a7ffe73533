"""Distances between pictures, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.precision import accurate

Distance: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Two tensors (N, ...) of one shape -> (N,)."""
PixelDistance: TypeAlias = Literal["l1", "l2", "charbonnier"]


def l1(x: Tensor, y: Tensor) -> Tensor:
    """(N, ...), (N, ...) -> (N,) mean of |x - y|."""
    return _difference(x, y).abs().flatten(1).mean(1)


def l2(x: Tensor, y: Tensor) -> Tensor:
    """(N, ...), (N, ...) -> (N,) mean of (x - y)²."""
    return _difference(x, y).square().flatten(1).mean(1)


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """(N, ...), (N, ...) -> (N,) mean of sqrt((x - y)² + eps²), smooth at 0 (Lai et al. 2017, arXiv 1710.01992)."""
    return (_difference(x, y).square() + eps**2).sqrt().flatten(1).mean(1)


DISTANCES: Mapping[PixelDistance, Distance] = {"l1": l1, "l2": l2, "charbonnier": charbonnier}
"""What recipes may ask for."""


def pixel_loss(restored: Tensor, gt: Tensor, detail: Tensor, distance: Distance = l1) -> Tensor:
    """Mean distance of pictures, at the resolution that each original really has.

    Args:
        restored: (N, 3, H, W).
        gt: likewise.
        detail: (N,) 1 where ``gt`` has detail at full size; 0 where it was enlarged from half, and is compared there.
        distance: between two pictures.
    """
    coarse = distance(F.avg_pool2d(restored, 2), F.avg_pool2d(gt, 2))
    return (detail * distance(restored, gt) + (1 - detail) * coarse).mean()


def _difference(x: Tensor, y: Tensor) -> Tensor:
    if x.shape != y.shape:
        raise ValueError(f"expected tensors of one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
    return x.to(accurate(x.dtype)) - y.to(accurate(y.dtype))
