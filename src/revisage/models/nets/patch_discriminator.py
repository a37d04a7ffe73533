"""PatchDiscriminator: judges every neighbourhood of a picture, at several scales.

PatchGAN (Isola et al. 2017, arXiv 1611.07004) at full and reduced resolution (Wang et al. 2018, arXiv 1711.11585), held
smooth by spectral normalisation (Miyato et al. 2018, arXiv 1802.05957). Small enough to train beside a small restorer.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """One judge for each scale.

    Args:
        width: channels of the first layer; doubled by each of the next two.
        scales: how many resolutions are judged, each half of the one before.
    """

    def __init__(self, width: int = 32, scales: int = 2) -> None:
        super().__init__()
        self.judges = nn.ModuleList(_judge(width) for _ in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB in [-1, 1] -> logits of each scale k, (N, 1, H / 2^(k+3), W / 2^(k+3)); high is real."""
        logits: list[Tensor] = []
        for judge in self.judges:
            if logits:
                x = F.avg_pool2d(x, 2)
            logits.append(judge(x))
        return logits


def _judge(width: int) -> nn.Sequential:
    channels = (3, width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for place in range(3):
        layers += [spectral_norm(nn.Conv2d(channels[place], channels[place + 1], 4, 2, 1)), nn.LeakyReLU(0.2)]
    layers += [spectral_norm(nn.Conv2d(channels[3], channels[3], 3, 1, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels[3], 1, 3, 1, 1)))
