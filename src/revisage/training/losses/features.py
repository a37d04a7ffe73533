"""Distances between features and embeddings of frozen networks, and VGG19.

Style: Gatys et al. 2015, arXiv 1508.06576. None of the weights files comes with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from revisage.models.build import read_state
from revisage.models.checkpoint import load_strictly
from revisage.models.nets.precision import accurate, without_autocast
from revisage.models.nets.vgg import VGG19Features
from revisage.training.losses.image import Distance, l1


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C) products of all pairs of channels, summed over positions and divided by C H W."""
    with without_autocast(features):
        flat = features.to(accurate(features.dtype)).flatten(2)
        return flat @ flat.mT / flat[0].numel()


def gram_distance(features: Tensor, targets: Tensor) -> Tensor:
    """(N, C, H, W), (N, C, H, W) -> (N,) mean absolute difference of Gram matrices."""
    return l1(gram(features), gram(targets))


IdentityDistance: TypeAlias = Literal["l1", "cosine", "euclidean"]


def identity_distance(embeddings: Tensor, targets: Tensor, kind: IdentityDistance) -> Tensor:
    """How far faces (N, C) are from being the same person's, (N,); no gradient is taken of ``targets``, the originals'.

    l1, mean |difference|: GFP-GAN's, for ArcFace; cosine, 1 - cosine: for ArcFace, where directions count; euclidean,
    sqrt(|difference|² + 0.01²): for DlibFaceNet, smooth where the faces agree.
    """
    mine, theirs = embeddings.to(accurate(embeddings.dtype)), targets.detach().to(accurate(targets.dtype))
    match kind:
        case "l1":
            return l1(mine, theirs)
        case "cosine":
            return 1 - F.cosine_similarity(mine, theirs)
        case "euclidean":
            return ((mine - theirs).square().sum(1) + 1e-4).sqrt()


def supervised_contrastive_loss(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """How much less each vector (N, D) of length 1 is like those of its own label than like the rest, L_out, a scalar.

    Khosla et al. 2020, arXiv 2004.11362, equation 2: the mean over vectors that have a partner; others count as another
    only. The lower the ``temperature``, the more the most similar others count (ValueError: no two share a label).
    """
    x = embeddings.to(accurate(embeddings.dtype))
    itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
    partners = (labels[:, None] == labels[None, :]) & ~itself
    counts = partners.sum(1)
    if not bool(counts.any()):
        raise ValueError("no two vectors share a label")
    with without_autocast(x):  # cosines near 1 need more than eight bits
        logits = (x @ x.T / temperature).masked_fill(itself, -torch.inf)
    logs = logits - logits.logsumexp(1, keepdim=True)
    sums = logs.masked_fill(~partners, 0).sum(1)
    return -(sums[counts > 0] / counts[counts > 0]).mean()


VGG19_WEIGHTS: Mapping[str, float] = {
    "conv1_2": 0.1,
    "conv2_2": 0.1,
    "conv3_4": 1.0,
    "conv4_4": 1.0,
    "conv5_4": 1.0,
}
"""GFP-GAN's layers (before their ReLU) and weights, for both the perceptual and the style loss."""


def features_of_both(
    extract: Callable[[Tensor], Sequence[Tensor]], restored: Tensor, gt: Tensor
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Feature maps of restored images (N, 3, H, W), and of the originals without a gradient."""
    with torch.no_grad():
        targets = extract(gt)
    return extract(restored), targets


def perceptual_loss(
    features: Sequence[Tensor],
    targets: Sequence[Tensor],
    weights: Sequence[float] = tuple(VGG19_WEIGHTS.values()),
    distance: Distance = l1,
) -> Tensor:
    """Sum over layers of weight * mean distance of maps (N, C, H, W), a scalar (Johnson 2016, arXiv 1603.08155)."""
    layers = zip(features, targets, weights, strict=True)
    return torch.stack([weight * distance(mine, theirs).mean() for mine, theirs, weight in layers]).sum()


def style_loss(
    features: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[float] = tuple(VGG19_WEIGHTS.values())
) -> Tensor:
    """Sum over layers of weight * mean absolute difference of Gram matrices, a scalar."""
    return perceptual_loss(features, targets, weights, gram_distance)


def read_vgg19(path: Path, layers: Sequence[str] = tuple(VGG19_WEIGHTS)) -> VGG19Features:
    """VGG19 from torchvision's file for ImageNet; its classifier, and all beyond ``layers``, is ignored."""
    network = VGG19Features(layers)
    state = read_state(path)
    load_strictly(network, {key: state[key] for key in network.state_dict() if key in state}, str(path))
    return network.eval()
