"""MultiBox loss of anchor detectors (SSD, Liu et al. 2016, arXiv 1512.02325) with landmarks, for batches of scenes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.retinaface import encode

POSITIVE = 0.35
"""Overlap (IoU) from which an anchor stands for a face."""
NEGATIVE = 0.30
"""Overlap below which it stands for background; between the two it does not count."""
COVERED = 0.3
"""Share of an anchor inside an uncertain face from which it does not count as background."""


class Matches(NamedTuple):
    """What each of A anchors of N pictures has to say.

    Attributes:
        face: (N, A) index of the face that the anchor stands for; any value where it stands for none.
        positive: (N, A) bool, stands for a face.
        negative: (N, A) bool, stands for background.
    """

    face: Tensor
    positive: Tensor
    negative: Tensor


def corners(priors: Tensor) -> Tensor:
    """(A, 4) centre and size -> x1, y1, x2, y2."""
    return torch.cat([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], dim=1)


def match(boxes: Tensor, kinds: Tensor, priors: Tensor) -> Matches:
    """Divide the anchors among faces and background; every face gets at least its best anchor.

    Args:
        boxes: (N, F, 4) x1, y1, x2, y2 in the units of ``priors``.
        kinds: (N, F) 1 a face, 0 uncertain, -1 no entry.
        priors: (A, 4) anchors, centre and size.
    """
    cells = corners(priors)
    overlap = torch.minimum(boxes[:, :, None, 2:], cells[:, 2:]) - torch.maximum(boxes[:, :, None, :2], cells[:, :2])
    shared = overlap.clamp_(min=0).prod(dim=-1)  # (N, F, A)
    own = priors[:, 2:].prod(dim=1)
    sizes = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1, keepdim=True)
    iou = shared / (sizes + own - shared).clamp(min=1e-12)
    covered = ((shared / own) * (kinds == 0)[..., None]).amax(dim=1) > COVERED

    iou = iou.masked_fill((kinds != 1)[..., None], -1.0)
    best_anchor = iou.argmax(dim=2)
    # Anchors are given to their best face, except that each face may first claim its own best anchor.
    claims = torch.zeros_like(iou).scatter_(2, best_anchor[..., None], 2.0).masked_fill_((kinds != 1)[..., None], 0.0)
    value, face = (iou + claims).max(dim=1)
    return Matches(face, value >= POSITIVE, (value < NEGATIVE) & ~covered)


def multibox_loss(
    outputs: tuple[Tensor, Tensor, Tensor],
    priors: Tensor,
    batch: dict[str, Tensor],
    *,
    negatives: float = 7.0,
) -> dict[str, Tensor]:
    """Unweighted terms, each a mean over the anchors that stand for faces.

    Classification: cross-entropy of all positive and of the ``negatives`` times as many hardest negative anchors of the
    whole batch (so that pictures without faces count as well). Boxes and landmarks: smooth L1 with a short quadratic
    part, because landmarks have to be exact to a fraction of an anchor's offset unit.

    Args:
        outputs: boxes (N, A, 4), logits (N, A, 2), landmarks (N, A, 10) of the network in phase "train".
        priors: (A, 4) anchors.
        batch: ``boxes`` (N, F, 4) and ``landmarks`` (N, F, 10) in the units of ``priors``, ``kinds`` (N, F).
        negatives: hardest negatives for each positive.
    """
    boxes, logits, landmarks = (output.float() for output in outputs)
    matches = match(batch["boxes"], batch["kinds"], priors)
    row, anchor = matches.positive.nonzero(as_tuple=True)
    face = matches.face[row, anchor]
    count = max(len(row), 1)

    entropy = F.cross_entropy(logits.flatten(0, 1), matches.positive.flatten().long(), reduction="none")
    background = entropy[matches.negative.flatten()]
    hardest = background.topk(min(int(negatives * count), len(background))).values
    target_boxes, target_landmarks = encode(batch["boxes"][row, face], batch["landmarks"][row, face], priors[anchor])
    return {
        "score": (entropy[matches.positive.flatten()].sum() + hardest.sum()) / count,
        "box": F.smooth_l1_loss(boxes[row, anchor], target_boxes, reduction="sum", beta=0.2) / count,
        "landmark": F.smooth_l1_loss(landmarks[row, anchor], target_landmarks, reduction="sum", beta=0.2) / count,
    }
