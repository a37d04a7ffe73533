"""Residual networks (He et al. 2016, arXiv 1512.03385) as bodies of other networks, without a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Residual block: 3x3, 3x3 and a shortcut.

    Args:
        downsample: applied to the input in the shortcut; None: nothing.
    """

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, planes, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class Bottleneck(nn.Module):
    """Residual block: 1x1, 3x3, 1x1 and a shortcut; the stride is in the 3x3 (variant 1.5)."""

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, 4 * planes, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


def residual_layer(
    block: Callable[..., nn.Module], inplanes: int, planes: int, count: int, stride: int, expansion: int = 1
) -> nn.Sequential:
    """``count`` blocks; the first changes size and channels, with a 1x1 convolution in its shortcut if it does.

    ``block`` builds one from (inplanes, planes, stride, downsample), ``expansion`` is the channels of its output
    relative to ``planes``. ``stride`` is that of the first.
    """
    outplanes = planes * expansion
    downsample = None
    if stride != 1 or inplanes != outplanes:
        downsample = nn.Sequential(nn.Conv2d(inplanes, outplanes, 1, stride, bias=False), nn.BatchNorm2d(outplanes))
    return nn.Sequential(
        block(inplanes, planes, stride, downsample), *(block(outplanes, planes) for _ in range(count - 1))
    )


class ResNet(nn.Module):
    """The body.

    Args:
        block: kind of residual block.
        layers: blocks of each of the four layers: (2, 2, 2, 2) with ``BasicBlock`` is ResNet-18, (3, 4, 6, 3) with
            ``Bottleneck`` is ResNet-50.

    Attributes:
        channels: of the three maps.
    """

    def __init__(self, block: type[BasicBlock | Bottleneck], layers: Sequence[int]) -> None:
        super().__init__()
        e = block.expansion
        self.channels = (128 * e, 256 * e, 512 * e)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = residual_layer(block, 64, 64, layers[0], 1, e)
        self.layer2 = residual_layer(block, 64 * e, 128, layers[1], 2, e)
        self.layer3 = residual_layer(block, 128 * e, 256, layers[2], 2, e)
        self.layer4 = residual_layer(block, 256 * e, 512, layers[3], 2, e)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (N, 3, H, W) -> maps at 1/8, 1/16 and 1/32 of their size."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        fine = self.layer2(self.layer1(x))
        middle = self.layer3(fine)
        return fine, middle, self.layer4(middle)
