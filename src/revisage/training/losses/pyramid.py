"""The image pyramid loss: what the levels of GFP-GAN's U-Net draw is compared with the original at their sizes.

Wang et al. 2021 (arXiv 2101.04061), section 3.2. It teaches the U-Net to remove the degradation, and is taken away once
it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.training.losses.pixel import Distance, l1


def image_pyramid(picture: Tensor, levels: int) -> list[Tensor]:
    """A picture at falling sizes, the coarsest first.

    Each level is the next finer one halved bilinearly (pixel centres at half integers, no anti-aliasing), which is the
    mean of 2x2 pixels.

    Args:
        picture: (N, 3, H, W), H and W multiples of 2^(levels - 1).
        levels: how many, the picture itself included.

    Returns:
        [(N, 3, H / 2^(levels - 1), W / 2^(levels - 1)), ..., picture].

    Raises:
        ValueError: the picture cannot be halved so often.
    """
    if levels < 1 or any(side % 2 ** (levels - 1) for side in picture.shape[-2:]):
        raise ValueError(f"{tuple(picture.shape)} cannot be halved into a pyramid of {levels} levels")
    pyramid = [picture]
    while len(pyramid) < levels:
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid[::-1]


def pyramid_loss(drawn: Sequence[Tensor], gt: Tensor, distance: Distance = l1) -> Tensor:
    """Sum over levels of the mean distance, a scalar.

    Args:
        drawn: what each level draws, the coarsest first, (N, 3, S, S) for S = 8, 16, ... up to ``gt``'s side; the
            second output of :class:`revisage.models.nets.gfpgan.GFPGANv1Clean`.
        gt: (N, 3, H, W).
        distance: between two pictures.

    Raises:
        ValueError: the sizes do not double up to that of ``gt``.
    """
    pairs = zip(drawn, image_pyramid(gt, len(drawn)), strict=True)
    return torch.stack([distance(mine, theirs).mean() for mine, theirs in pairs]).sum()
