"""Eyes and mouth, which people look at first: cut out of pictures, and compared by style.

Wang et al. 2021 (arXiv 2101.04061), section 3.4. What the component discriminators say of the crops is weighed by
:mod:`revisage.training.losses.adversarial`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from revisage.training.losses.gram import gram_distance
from revisage.training.losses.roi_align import roi_align

SIDE = 512
"""Side of the pictures that the sizes below are meant for."""
EYE, MOUTH = 80, 120
"""Sides of the crops."""
STYLE_WEIGHTS = 0.5, 1.0
"""Of the two features of :class:`revisage.models.nets.discriminators.FacialComponentDiscriminator`."""


class ComponentCrops(NamedTuple):
    """Parts of N faces.

    Attributes:
        left_eye: (N, 3, E, E), on the left of the picture.
        right_eye: (N, 3, E, E).
        mouth: (N, 3, M, M).
    """

    left_eye: Tensor
    right_eye: Tensor
    mouth: Tensor


def component_crops(pictures: Tensor, boxes: Tensor, boxes_side: int = SIDE) -> ComponentCrops:
    """Cut eyes and mouth out of aligned faces.

    Args:
        pictures: (N, 3, S, S); the crops have the same range.
        boxes: (N, 3, 4) left eye, right eye, mouth; x1, y1, x2, y2 in pixels of a face of side ``boxes_side``.
        boxes_side: see there; the boxes are brought to the size of the pictures.

    Returns:
        crops of 80 (eyes) and 120 pixels (mouth) for S = 512; for others in proportion, rounded to multiples of 4, as
        the discriminators need them.
    """
    side = pictures.shape[-1]
    scaled = (boxes + 0.5) * (side / boxes_side) - 0.5  # pixel centres are at integers
    eyes = roi_align(pictures, scaled[:, :2], component_side(EYE, side))
    mouth = roi_align(pictures, scaled[:, 2:], component_side(MOUTH, side))
    return ComponentCrops(eyes[:, 0], eyes[:, 1], mouth[:, 0])


def component_side(side: int, picture: int) -> int:
    """A crop's side in a picture of 512 pixels -> in another, the nearest multiple of 4, at least 4."""
    return 4 * max(round(side * picture / SIDE / 4), 1)


def component_style_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """How much the style of one component differs, a scalar; sum it over the components.

    0.5 |gram f0 - gram t0| + |gram f1 - gram t1|, means over all entries.

    Args:
        features: the component discriminator's of restored crops, (N, 128, H/2, W/2) and (N, 256, H/4, W/4).
        targets: likewise, of the originals; no gradient is taken.
    """
    stages = zip(features, targets, STYLE_WEIGHTS, strict=True)
    return torch.stack([weight * gram_distance(mine, theirs.detach()).mean() for mine, theirs, weight in stages]).sum()
