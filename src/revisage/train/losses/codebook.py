"""The loss that brings vectors and the entries of a codebook together."""

from __future__ import annotations

from torch import Tensor

from revisage.nets.precision import accurate


def codebook_loss(vectors: Tensor, entries: Tensor, beta: float = 0.25) -> Tensor:
    """Mean (vectors - sg[entries])² + beta mean (sg[vectors] - entries)², a scalar; sg[.] stops the gradient.

    Van den Oord et al. 2017 (arXiv 1711.00937), equation 3. There ``beta`` is the commitment cost, the weight of the
    term that moves the vectors; RestoreFormer gives it to the other one, which moves the entries, and so does this.
    :meth:`revisage.nets.restoreformer_layers.VectorQuantizer.loss` is the same of a codebook's own indices.

    Args:
        vectors: (N, C, H, W), the encoder's.
        entries: likewise, the nearest entries of the codebook, without the straight-through trick.
        beta: see above.
    """
    vectors, entries = (x.to(accurate(x.dtype)) for x in (vectors, entries))
    commitment = (vectors - entries.detach()).square().mean()
    return commitment + beta * (vectors.detach() - entries).square().mean()
