"""Distances between embeddings of faces; what their networks are shown is cut out beside them, in ``nets``."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor
from torch.nn import functional as F

from revisage.models.nets.precision import accurate
from revisage.training.losses.pixel import l1

IdentityDistance: TypeAlias = Literal["l1", "cosine", "euclidean"]


def identity_distance(embeddings: Tensor, targets: Tensor, kind: IdentityDistance) -> Tensor:
    """How far faces are from being the same person's.

    Args:
        embeddings: (N, C), of restored faces.
        targets: (N, C), of the originals; no gradient is taken.
        kind: l1, mean |difference|: GFP-GAN's, for ArcFace; cosine, 1 - cosine: for ArcFace, where directions count;
            euclidean, sqrt(|difference|² + 0.01²): for DlibFaceNet, smooth where the faces agree.

    Returns:
        (N,).
    """
    mine, theirs = embeddings.to(accurate(embeddings.dtype)), targets.detach().to(accurate(targets.dtype))
    match kind:
        case "l1":
            return l1(mine, theirs)
        case "cosine":
            return 1 - F.cosine_similarity(mine, theirs)
        case "euclidean":
            return ((mine - theirs).square().sum(1) + 1e-4).sqrt()
