"""SRVGGNetCompact: the small network of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833), a plain stack."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["relu", "prelu", "leakyrelu"]


class SRVGGNetCompact(nn.Module):
    """Upscaler; its result is added to the image enlarged by repeated pixels.

    Args:
        num_out_ch: channels of the output; those of the input.
        num_feat: channels in between.
        num_conv: convolutions between the first and the last.
    """

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
        act_type: Activation = "prelu",
    ) -> None:
        super().__init__()
        if act_type not in ("relu", "prelu", "leakyrelu"):
            raise ValueError(f"act_type is 'relu', 'prelu' or 'leakyrelu', not {act_type!r}")
        self.upscale = upscale
        layers: list[nn.Module] = [nn.Conv2d(num_in_ch, num_feat, 3, padding=1), _activation(act_type, num_feat)]
        for _ in range(num_conv):
            layers += [nn.Conv2d(num_feat, num_feat, 3, padding=1), _activation(act_type, num_feat)]
        layers.append(nn.Conv2d(num_feat, num_out_ch * upscale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_in_ch, H, W) in [0, 1] -> (N, num_out_ch, upscale * H, upscale * W), not clamped."""
        enlarged = F.interpolate(x, scale_factor=self.upscale, mode="nearest")
        return F.pixel_shuffle(self.body(x), self.upscale) + enlarged


def _activation(act_type: Activation, channels: int) -> nn.Module:
    if act_type == "prelu":
        return nn.PReLU(channels)
    return nn.ReLU(inplace=True) if act_type == "relu" else nn.LeakyReLU(0.1, inplace=True)
