"""NLayerDiscriminator: RestoreFormer's judge of neighbourhoods, PatchGAN (Isola et al. 2017, arXiv 1611.07004)."""

from __future__ import annotations

from torch import Tensor, nn


class NLayerDiscriminator(nn.Module):
    """Judges every neighbourhood of a picture; with three layers, of 70x70 pixels.

    Batch normalisation compares the pictures of a batch: show originals and restored ones separately.

    Args:
        input_nc: channels of the picture.
        ndf: channels of the first layer; doubled by each of the next, up to eightfold.
        n_layers: layers that halve the size.
    """

    def __init__(self, input_nc: int = 3, ndf: int = 64, n_layers: int = 3) -> None:
        super().__init__()
        widths = [ndf * min(2**layer, 8) for layer in range(n_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(input_nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for layer in range(1, n_layers + 1):
            stride = 2 if layer < n_layers else 1
            layers += [
                nn.Conv2d(widths[layer - 1], widths[layer], 4, stride, 1, bias=False),
                nn.BatchNorm2d(widths[layer]),
                nn.LeakyReLU(0.2),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_nc, H, W) in [-1, 1] -> logits (N, 1, about H / 2^n_layers - 2, likewise); high is real."""
        return self.main(x)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.02)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)
