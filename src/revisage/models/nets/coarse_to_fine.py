"""CoarseToFineUNet: the network that the package carries, two small U-Nets one after the other.

What a face is shows best in a small picture: there a network of a few layers sees all of it, and badly degraded
inputs hold no more than that anyway. So one network corrects the face at a fraction of its size, and another, shown
the input and what the first made of it, at full size (coarse to fine: Denton et al. 2015, arXiv 1506.05751).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.precision import accurate
from revisage.models.nets.restoration_unet import RestorationUNet

COARSE: Mapping[str, Any] = {"widths": (64, 112, 176), "blocks": (2, 3, 3)}
FINE: Mapping[str, Any] = {"widths": (24, 48, 96, 160, 160), "blocks": (1, 2, 2, 2, 2)}
"""What the network that the package carries consists of."""


class CoarseToFineUNet(nn.Module):
    """Restores an aligned face.

    Args:
        coarse: constructor arguments of the :class:`RestorationUNet` that works on the small picture.
        fine: likewise, of the one that works at full size; without ``inputs``, which are two.
        factor: how many times smaller the small picture is.
        caution: root mean square, in units of the picture, of a correction that is taken half way. A picture that needs
            little is nearly good, and what is added to it is as often wrong as right; so small corrections are taken
            less far, in use though not in training, which would learn to make up for it. 0: all are taken whole. It is
            a part of the state: loaded weights bring theirs.
    """

    caution: Tensor

    def __init__(
        self,
        coarse: Mapping[str, Any] = COARSE,
        fine: Mapping[str, Any] = FINE,
        factor: int = 4,
        caution: float = 0.0,
    ) -> None:
        super().__init__()
        self.coarse = RestorationUNet(**coarse)
        self.fine = RestorationUNet(**fine, inputs=2)
        self.factor = factor
        self.multiple = math.lcm(self.fine.multiple, factor * self.coarse.multiple)
        self.register_buffer("caution", torch.tensor(float(caution)))

    def forward(self, x: Tensor, corners: Sequence[tuple[int, int]] | None = None, side: int = 0) -> Tensor:
        """Faces, or square parts of them that were worked out in sight of the whole.

        Args:
            x: (N, 3, H, W) RGB in [-1, 1], H and W multiples of ``self.multiple``.
            corners: left and top of a part of each face; None: all of it is restored.
            side: of these parts in pixels, a multiple of ``self.fine.multiple``.

        Returns:
            (N, 3, H, W), or (N, 3, side, side) of parts; not clamped.
        """
        if x.shape[-2] % self.multiple or x.shape[-1] % self.multiple:
            raise ValueError(f"height and width must be multiples of {self.multiple}, got {tuple(x.shape[-2:])}")
        correction = self.coarse.correction(F.avg_pool2d(x, self.factor))
        seen = x + F.interpolate(correction, scale_factor=self.factor, mode="bilinear", align_corners=False)
        if corners is not None:
            x, seen = (parts(pictures, corners, side) for pictures in (x, seen))
        restored = self.fine(torch.cat([x, seen], 1))
        if self.training:
            return restored
        correction = restored - x
        return x + correction * _trust(correction, self.caution)


def parts(pictures: Tensor, corners: Sequence[tuple[int, int]], side: int) -> Tensor:
    """(N, 3, H, W) -> (N, 3, side, side), cut out at (left, top)."""
    return torch.stack(
        [
            picture[:, top : top + side, left : left + side]
            for picture, (left, top) in zip(pictures, corners, strict=True)
        ]
    )


def _trust(correction: Tensor, caution: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, 1, 1), how far each is taken: rises from 0 to 1 with its size, 1/2 at ``caution``."""
    exact = accurate(correction.dtype)
    size, threshold = correction.to(exact).square().mean((1, 2, 3), keepdim=True).square(), caution.to(exact) ** 4
    return (size / (size + threshold).clamp_min(torch.finfo(exact).tiny)).to(correction.dtype)
