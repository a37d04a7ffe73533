"""BackgroundUNet, a small network that repairs and enlarges any part of a photo; the embedded background upscaler.

It adds a correction to the photo enlarged by cubic convolution (Keys 1981). It has no normalization and sees each place
the same, so a photo can be given in tiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.precision import accurate
from revisage.models.nets.restoration_unet import RestorationUNet

WINDOW = 8
"""Side of the squares, in pixels of the input, in which the size of a correction is measured."""


class BackgroundUNet(nn.Module):
    """Removes noise, blocking and blur from a photo and enlarges it twice.

    Args:
        widths, blocks: of the levels, see :class:`RestorationUNet`.
        gate_threshold: root mean square of a correction of which half is applied, in units of the image. The smaller
            a correction around a place is, the smaller the part of it that is applied there, in eval mode only: where
            a photo is nearly good, a correction is as often wrong as right. 0: corrections are applied whole. Part of
            the state.
    """

    factor = 2
    gate_threshold: Tensor

    def __init__(
        self, widths: Sequence[int] = (32, 64, 96), blocks: Sequence[int] = (1, 2, 3), gate_threshold: float = 0.0
    ) -> None:
        super().__init__()
        self.unet = RestorationUNet(widths, blocks, enlarge=self.factor)
        self.multiple = max(self.unet.multiple, WINDOW)
        self.register_buffer("gate_threshold", torch.tensor(float(gate_threshold)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1], H and W multiples of ``self.multiple`` -> (N, 3, 2 * H, 2 * W), not clamped."""
        correction = self.unet.correction(x)
        enlarged = enlarge_twice(x)
        if self.training:
            return enlarged + correction
        return enlarged + correction * local_gate(correction, self.gate_threshold, self.factor * WINDOW)


def local_gate(correction: Tensor, gate_threshold: Tensor, window: int) -> Tensor:
    """(N, C, H, W) -> (N, 1, H, W) share to apply at each place, half where the RMS around it is ``gate_threshold``.

    The RMS is that of ``window`` x ``window`` squares and their eight neighbors, so tiles that begin at multiples of
    ``window`` agree.
    """
    exact = accurate(correction.dtype)
    squares = F.avg_pool2d(correction.to(exact).square().mean(1, keepdim=True), window)
    around = F.avg_pool2d(F.pad(squares, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gate = around.square() / (around.square() + gate_threshold.to(exact) ** 4).clamp_min(torch.finfo(exact).tiny)
    return F.interpolate(gate, scale_factor=window, mode="bilinear", align_corners=False).to(correction.dtype)


def _cubic(distance: float) -> float:
    """Weight of a pixel at a distance, for a = -0.5."""
    if distance <= 1:
        return 1.5 * distance**3 - 2.5 * distance**2 + 1
    return -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2 if distance < 2 else 0.0


_PHASES = [[_cubic(abs(pixel - shift)) for pixel in range(-2, 3)] for shift in (-0.25, 0.25)]
_KERNELS = [[[[row * column for column in columns] for row in rows]] for rows in _PHASES for columns in _PHASES]
"""(4, 1, 5, 5): the four pixels into which a pixel turns, rows first."""


def enlarge_twice(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2 * H, 2 * W) by cubic convolution; pixel centers at x' = 2 x + 0.5."""
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    subpixels = F.conv2d(padded, x.new_tensor(_KERNELS * x.shape[1]), groups=x.shape[1])
    return F.pixel_shuffle(subpixels, 2)
