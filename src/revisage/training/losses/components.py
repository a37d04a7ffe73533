"""Eyes and mouth, cut out of images by ROI align, and compared by style (Wang et al. 2021, arXiv 2101.04061, 3.4).

The component discriminators' logits are weighted by :mod:`revisage.training.losses.gan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from revisage.models.nets.precision import accurate, without_autocast
from revisage.training.losses.features import gram_distance


def roi_align(images: Tensor, boxes: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Cut B boxes (N, B, 4) out of each image (N, C, H, W) and resample them to ``size``: (N, B, C, height, width).

    A box is divided into ``size`` bins. Of each, the mean is taken over a grid of ceil(box side / size) samples an
    axis, interpolated bilinearly. Samples up to one pixel beyond the image take the border's value, others are 0. Sides
    shorter than a pixel count as one. (torchvision's, with ``aligned=False`` and ``sampling_ratio=-1``.)
    Differentiable, any number of times, in the images; the result is float32 at least.

    The weight of a pixel in a bin is the product of its row's and its column's, so two matrix products do it all.
    """
    height, width = (size, size) if isinstance(size, int) else size
    with without_autocast(images), torch.no_grad():
        x1, y1, x2, y2 = boxes.to(images.device, accurate(images.dtype)).unbind(-1)
        rows = _weights(y1, y2, height, images.shape[-2])
        columns = _weights(x1, x2, width, images.shape[-1])
    with without_autocast(images):
        strips = rows[:, :, None] @ images.to(rows.dtype)[:, None]
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


SIDE = 512
"""Side of the images that the sizes below are meant for."""
EYE, MOUTH = 80, 120
"""Sides of the crops."""
STYLE_WEIGHTS = 0.5, 1.0
"""Of the two features of :class:`revisage.models.nets.discriminators.FacialComponentDiscriminator`."""


class ComponentCrops(NamedTuple):
    """Parts of N faces: eyes (N, 3, E, E), the left one on the left of the image, and mouths (N, 3, M, M)."""

    left_eye: Tensor
    right_eye: Tensor
    mouth: Tensor


def component_crops(images: Tensor, boxes: Tensor, boxes_size: int = SIDE) -> ComponentCrops:
    """Cut eyes and mouth out of aligned faces (N, 3, S, S), of 80 and 120 pixels for S = 512.

    For other S in proportion, rounded to multiples of 4, as the discriminators need them. ``boxes`` (N, 3, 4): left
    eye, right eye, mouth, x1, y1, x2, y2 in pixels of a face of side ``boxes_size``.
    """
    side = images.shape[-1]
    scaled = (boxes + 0.5) * (side / boxes_size) - 0.5  # pixel centres are at integers
    eyes = roi_align(images, scaled[:, :2], component_size(EYE, side))
    mouth = roi_align(images, scaled[:, 2:], component_size(MOUTH, side))
    return ComponentCrops(eyes[:, 0], eyes[:, 1], mouth[:, 0])


def component_size(side: int, image: int) -> int:
    """Side of a crop in an image of 512 pixels -> in one of side ``image``, the nearest multiple of 4, at least 4."""
    return 4 * max(round(side * image / SIDE / 4), 1)


def component_style_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """How much the style of one component differs, a scalar; sum it over the components.

    0.5 |gram f0 - gram t0| + |gram f1 - gram t1|, means over all entries, of the component discriminator's features (N,
    128, H/2, W/2) and (N, 256, H/4, W/4); no gradient is taken of ``targets``, those of the originals.
    """
    stages = zip(features, targets, STYLE_WEIGHTS, strict=True)
    return torch.stack([weight * gram_distance(mine, theirs.detach()).mean() for mine, theirs, weight in stages]).sum()
