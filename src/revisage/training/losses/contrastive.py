"""Supervised contrastive loss: views of one face together, all others apart."""

from __future__ import annotations

import torch
from torch import Tensor

from revisage.models.nets.precision import accurate, without_autocast


def supervised_contrastive_loss(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """How much less each vector is like those of its own label than like the rest, L_out of Khosla et al. 2020.

    Args:
        embeddings: (N, D) of length 1.
        labels: (N,) integers; a vector whose label no other has counts as another only.
        temperature: of the softmax over the others; the lower, the more the likest of them count.

    Returns:
        Mean over the vectors that have a partner (arXiv 2004.11362, equation 2).

    Raises:
        ValueError: no two vectors share a label.
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
