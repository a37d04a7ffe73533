"""ResNetArcFace: identity embeddings of 512 numbers, compared by their angle (Deng et al. 2019, arXiv 1801.07698)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.resnet import residual_layer

SIZE = 128
"""Size of the images."""


class SEBlock(nn.Module):
    """Squeeze and excitation (Hu et al. 2018, arXiv 1709.01507): scales channels by a global mean.

    Args:
        channel: of the features.
        reduction: the layer between is this many times narrower.
    """

    def __init__(self, channel: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction), nn.PReLU(), nn.Linear(channel // reduction, channel), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


class IRBlock(nn.Module):
    """Residual block that normalises its input first.

    Args:
        downsample: applied to the input in the shortcut; None: nothing.
        use_se: squeeze and excitation at the end.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        use_se: bool = True,
    ) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(inplanes)
        self.conv1 = nn.Conv2d(inplanes, inplanes, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inplanes)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.se = SEBlock(planes) if use_se else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, planes, H / stride, W / stride)."""
        y = self.prelu(self.bn1(self.conv1(self.bn0(x))))
        y = self.bn2(self.conv2(y))
        if self.se:
            y = self.se(y)
        return self.prelu(y + (self.downsample(x) if self.downsample else x))


class ResNetArcFace(nn.Module):
    """The identity network (published: block "IRBlock", layers (2, 2, 2, 2), without ``use_se``).

    Args:
        block: "IRBlock", or a function that builds a block from (inplanes, planes, stride, downsample, use_se=...).
        layers: blocks of each of the four layers.
        use_se: squeeze and excitation in each block.
    """

    def __init__(
        self, block: Literal["IRBlock"] | Callable[..., nn.Module], layers: Sequence[int], use_se: bool = True
    ) -> None:
        super().__init__()
        if isinstance(block, str) and block != "IRBlock":
            raise ValueError(f"block is 'IRBlock' or a class, not {block!r}")
        build = partial(IRBlock if isinstance(block, str) else block, use_se=use_se)
        self.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU()
        self.layer1 = residual_layer(build, 64, 64, layers[0], 1)
        self.layer2 = residual_layer(build, 64, 128, layers[1], 2)
        self.layer3 = residual_layer(build, 128, 256, layers[2], 2)
        self.layer4 = residual_layer(build, 256, 512, layers[3], 2)
        self.bn4 = nn.BatchNorm2d(512)
        self.dropout = nn.Dropout(0.5)
        self.fc5 = nn.Linear(512 * (SIZE // 16) ** 2, 512)
        self.bn5 = nn.BatchNorm1d(512)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Gray faces (N, 1, 128, 128) in [-1, 1] -> (N, 512), not normalised (ValueError: x has another size)."""
        if x.ndim != 4 or tuple(x.shape[1:]) != (1, SIZE, SIZE):
            raise ValueError(f"expected (N, 1, {SIZE}, {SIZE}), got {tuple(x.shape)}")
        x = F.max_pool2d(self.prelu(self.bn1(self.conv1(x))), 2)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.bn5(self.fc5(self.dropout(self.bn4(x)).flatten(1)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(module.weight)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def gray_faces(images: Tensor) -> Tensor:
    """Aligned faces (N, 3, H, W), RGB in [-1, 1], as GFP-GAN prepares them for :class:`ResNetArcFace`.

    Returns (N, 1, 128, 128) luma 0.2989 R + 0.587 G + 0.114 B, resized bilinearly without anti-aliasing.
    """
    red, green, blue = images.split(1, dim=1)
    luma = 0.2989 * red + 0.587 * green + 0.114 * blue
    return F.interpolate(luma, (SIZE, SIZE), mode="bilinear", align_corners=False)
