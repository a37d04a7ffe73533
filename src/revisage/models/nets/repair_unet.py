"""RepairUNet, a small network that finds scratches, creases and dust in a photo and fills them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from revisage.models.nets.restoration_unet import RestorationUNet


class RepairUNet(nn.Module):
    """Finds thin and small defects, and says what the photo shows behind them.

    It has no normalization and treats each place the same, so a photo can be given in tiles.

    Args:
        widths, blocks: of the levels, see :class:`RestorationUNet`.
    """

    def __init__(self, widths: Sequence[int] = (24, 40, 64, 80), blocks: Sequence[int] = (1, 1, 1, 2)) -> None:
        super().__init__()
        self.finder = RestorationUNet(widths, blocks, outputs=4)
        self.multiple = self.finder.multiple

    def forward(self, x: Tensor) -> Tensor:
        """Find and fill: (N, 3, H, W) RGB in [0, 1], H and W multiples of ``self.multiple`` -> (N, 4, H, W).

        Three channels of the photo with corrections everywhere, of use where there is damage, not clamped; and the
        probability of damage, in training its logit.
        """
        corrections, logits = self.finder.correction(x).split((3, 1), dim=1)
        return torch.cat([x + corrections, logits if self.training else torch.sigmoid(logits)], dim=1)
