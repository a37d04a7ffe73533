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
        gate_threshold: root mean square, in units of the image, of a correction of which half is applied. An image
            that needs little is nearly good, and a correction of it is as often wrong as right: so the smaller a
            correction, the smaller the part of it that is applied, in eval mode only (in training the network would
            learn to compensate). 0: corrections are applied whole. Part of the state: loaded weights bring theirs.
    """

    gate_threshold: Tensor

    def __init__(
        self,
        coarse: Mapping[str, Any] = COARSE,
        fine: Mapping[str, Any] = FINE,
        factor: int = 4,
        gate_threshold: float = 0.0,
    ) -> None:
        super().__init__()
        self.coarse = RestorationUNet(**coarse)
        self.fine = RestorationUNet(**fine, inputs=2)
        self.factor = factor
        self.multiple = math.lcm(self.fine.multiple, factor * self.coarse.multiple)
        self.register_buffer("gate_threshold", torch.tensor(float(gate_threshold)))

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
        return x + correction * correction_gate(correction, self.gate_threshold)


def parts(pictures: Tensor, corners: Sequence[tuple[int, int]], side: int) -> Tensor:
    """(N, 3, H, W) -> (N, 3, side, side), cut out at (left, top)."""
    return torch.stack(
        [
            picture[:, top : top + side, left : left + side]
            for picture, (left, top) in zip(pictures, corners, strict=True)
        ]
    )


def correction_gate(correction: Tensor, gate_threshold: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, 1, 1) share of each to apply, from 0 to 1 by its RMS, half at ``gate_threshold``."""
    exact = accurate(correction.dtype)
    power = correction.to(exact).square().mean((1, 2, 3), keepdim=True).square()
    gate = power / (power + gate_threshold.to(exact) ** 4).clamp_min(torch.finfo(exact).tiny)
    return gate.to(correction.dtype)
