"""ROI align: parts of pictures at a fixed size (He et al. 2017, arXiv 1703.06870, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from revisage.models.nets.precision import accurate, without_autocast


def roi_align(pictures: Tensor, boxes: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Cut boxes out of pictures and resample them to one size; differentiable, any number of times, in the pictures.

    A box is divided into ``size`` bins. Of each, the mean is taken over a grid of ceil(box side / size) samples an
    axis, interpolated bilinearly. Samples up to one pixel beyond the picture take the border's value, others are 0.
    Sides shorter than a pixel count as one. (torchvision's, with ``aligned=False`` and ``sampling_ratio=-1``.)

    The weight of a pixel in a bin is the product of its row's and its column's, so two matrix products do it all.

    Args:
        pictures: (N, C, H, W).
        boxes: (N, B, 4) B boxes of each picture, x1, y1, x2, y2 in its pixels, pixel centres at integers; no gradient.
        size: side of the result, or (height, width).

    Returns:
        (N, B, C, height, width), at least float32.
    """
    height, width = (size, size) if isinstance(size, int) else size
    with without_autocast(pictures), torch.no_grad():
        x1, y1, x2, y2 = boxes.to(pictures.device, accurate(pictures.dtype)).unbind(-1)
        rows = _weights(y1, y2, height, pictures.shape[-2])
        columns = _weights(x1, x2, width, pictures.shape[-1])
    with without_autocast(pictures):
        strips = rows[:, :, None] @ pictures.to(rows.dtype)[:, None]
        return strips @ columns[:, :, None].mT


def _weights(start: Tensor, end: Tensor, bins: int, length: int) -> Tensor:
    """Along one axis: (N, B) starts and ends of boxes -> (N, B, bins, length), the weight of each pixel in each bin."""
    side = (end - start).clamp(min=1)
    samples = (side / bins).ceil()
    pixels = torch.arange(length, device=start.device, dtype=start.dtype)
    corners = start[..., None] + torch.arange(bins, device=start.device) * (side / bins)[..., None]
    weights = start.new_zeros(*corners.shape, length)
    for i in range(int(samples.max())):
        places = corners + ((i + 0.5) * side / bins / samples)[..., None]
        counts = (places >= -1) & (places <= length) & (i < samples)[..., None]
        distance = (places.clamp(0, length - 1)[..., None] - pixels).abs()
        weights += (1 - distance).clamp(min=0) * counts[..., None]
    return weights / samples[..., None, None]
