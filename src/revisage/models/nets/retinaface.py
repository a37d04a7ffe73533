"""RetinaFace: a single-shot face detector with five landmarks (Deng et al. 2020, arXiv 1905.00641).

A body (MobileNet-V1 at a quarter of its width, or ResNet-50), a feature pyramid of strides 8, 16 and 32, a context
module (SSH, Najibi et al. 2017, arXiv 1708.03979) and three 1x1 heads a level. Every cell of a level carries two square
anchors; the heads say for each whether it is a face and where box and landmarks lie relative to it.

Names of modules, hence state-dict keys, are those of the published PyTorch weights; so is the input convention:
channels B, G, R, values 0..255 less ``MEAN``. :func:`propose` takes care of it.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from revisage.models.nets.resnet import Bottleneck, ResNet

NetworkName = Literal["mobile0.25", "resnet50"]

MEAN = (104.0, 117.0, 123.0)
"""Subtracted from B, G, R."""
STEPS = (8, 16, 32)
"""Pixels between the anchors of each level."""
SIZES = ((16, 32), (64, 128), (256, 512))
"""Sizes of the two anchors at each position of a level, in pixels."""
VARIANCE = (0.1, 0.2)
"""Offsets of points and logarithms of sizes are divided by these (SSD, Liu et al. 2016, arXiv 1512.02325)."""


class Proposals(NamedTuple):
    """Raw per-anchor predictions for each of N images, before any selection.

    Attributes:
        boxes: (N, A, 4) x1, y1, x2, y2 in pixels.
        scores: (N, A) in [0, 1].
        landmarks: (N, A, 5, 2) x, y in pixels.
    """

    boxes: Tensor
    scores: Tensor
    landmarks: Tensor


def _conv_bn(cin: int, cout: int, kernel: int = 3, stride: int = 1, slope: float | None = None) -> nn.Sequential:
    """Convolution without bias, batch norm, and (unless ``slope`` is None) a leaky ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(cin, cout, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
    ]
    if slope is not None:
        layers.append(nn.LeakyReLU(slope, inplace=True))
    return nn.Sequential(*layers)


def _conv_dw(cin: int, cout: int, stride: int) -> nn.Sequential:
    """Depthwise 3x3, then 1x1, each with batch norm and leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cin, 3, stride, padding=1, groups=cin, bias=False),
        nn.BatchNorm2d(cin),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(cin, cout, 1, bias=False),
        nn.BatchNorm2d(cout),
        nn.LeakyReLU(0.1, inplace=True),
    )


class MobileNetV1(nn.Module):
    """Body at a quarter of the width (Howard et al. 2017, arXiv 1704.04861), without its classifier."""

    channels = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _conv_bn(3, 8, stride=2, slope=0.1),
            _conv_dw(8, 16, 1),
            _conv_dw(16, 32, 2),
            _conv_dw(32, 32, 1),
            _conv_dw(32, 64, 2),
            _conv_dw(64, 64, 1),
        )
        self.stage2 = nn.Sequential(_conv_dw(64, 128, 2), *(_conv_dw(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(_conv_dw(128, 256, 2), _conv_dw(256, 256, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.stage1(x)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class FPN(nn.Module):
    """Feature pyramid (Lin et al. 2017, arXiv 1612.03144): coarse maps are added to finer ones, top down."""

    def __init__(self, channels: tuple[int, int, int], width: int, slope: float) -> None:
        super().__init__()
        self.output1 = _conv_bn(channels[0], width, 1, slope=slope)
        self.output2 = _conv_bn(channels[1], width, 1, slope=slope)
        self.output3 = _conv_bn(channels[2], width, 1, slope=slope)
        self.merge1 = _conv_bn(width, width, slope=slope)
        self.merge2 = _conv_bn(width, width, slope=slope)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[-2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[-2:], mode="nearest"))
        return fine, middle, coarse


class SSH(nn.Module):
    """Context module: 3x3, 5x5 and 7x7 fields of view side by side, the larger ones as stacks of 3x3."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        quarter = width // 4
        self.conv3X3 = _conv_bn(width, width // 2)
        self.conv5X5_1 = _conv_bn(width, quarter, slope=slope)
        self.conv5X5_2 = _conv_bn(quarter, quarter)
        self.conv7X7_2 = _conv_bn(quarter, quarter, slope=slope)
        self.conv7x7_3 = _conv_bn(quarter, quarter)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        wide = self.conv7x7_3(self.conv7X7_2(shared))
        return F.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(shared), wide], dim=1))


class Head(nn.Module):
    """A 1x1 convolution that gives ``values`` numbers for each of two anchors a cell."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(width, 2 * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, H * W * 2, values), row by row, the two anchors of a cell side by side."""
        return self.conv1x1(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, self.values))


class RetinaFace(nn.Module):
    """The detector.

    Args:
        network_name: the body.
        phase: "test" gives probabilities, "train" gives logits.
    """

    def __init__(self, network_name: NetworkName = "mobile0.25", phase: Literal["test", "train"] = "test") -> None:
        super().__init__()
        bodies = {"mobile0.25": (MobileNetV1, 64), "resnet50": (partial(ResNet, Bottleneck, (3, 4, 6, 3)), 256)}
        if network_name not in bodies:
            raise ValueError(f"network_name is one of {', '.join(bodies)}, not {network_name!r}")
        body, width = bodies[network_name]
        slope = 0.1 if width <= 64 else 0.0
        self.phase = phase
        self.body = body()
        self.fpn = FPN(self.body.channels, width, slope)
        self.ssh1, self.ssh2, self.ssh3 = SSH(width, slope), SSH(width, slope), SSH(width, slope)
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in STEPS)
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in STEPS)
        self.LandmarkHead = nn.ModuleList(Head(width, 10) for _ in STEPS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets and scores of every anchor, in the order of :func:`anchors`.

        x is (N, 3, H, W), B, G, R in 0..255 less ``MEAN``. Returns boxes (N, A, 4) and landmarks (N, A, 10) as offsets
        (see :func:`decode`), scores (N, A, 2) between them: no face, face.
        """
        maps = self.fpn(self.body(x))
        features = [ssh(level) for ssh, level in zip((self.ssh1, self.ssh2, self.ssh3), maps, strict=True)]
        boxes, scores, landmarks = (
            torch.cat([head(level) for head, level in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, scores if self.phase == "train" else scores.softmax(-1), landmarks


def anchors(height: int, width: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """All anchors of an image: (A, 4) center and size as shares of the image's width and height."""
    levels: list[Tensor] = []
    for step, sizes in zip(STEPS, SIZES, strict=True):
        rows, columns = -(-height // step), -(-width // step)
        y = ((torch.arange(rows, dtype=dtype) + 0.5) * step / height)[:, None, None].expand(rows, columns, 2)
        x = ((torch.arange(columns, dtype=dtype) + 0.5) * step / width)[None, :, None].expand(rows, columns, 2)
        side = torch.tensor(sizes, dtype=dtype).expand(rows, columns, 2)
        levels.append(torch.stack([x, y, side / width, side / height], dim=-1).flatten(0, 2))
    return torch.cat(levels)


def decode(boxes: Tensor, landmarks: Tensor, priors: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (..., A, 4), (..., A, 10) -> (..., A, 4) x1, y1, x2, y2 and (..., A, 10) x, y of five points.

    Offsets of boxes are of the center and the logarithm of the size. The units are those of ``priors``, (A, 4) anchors,
    center and size.
    """
    center = priors[:, :2] + boxes[..., :2] * VARIANCE[0] * priors[:, 2:]
    half = priors[:, 2:] * torch.exp(boxes[..., 2:] * VARIANCE[1]) / 2
    points = landmarks.unflatten(-1, (5, 2)) * VARIANCE[0] * priors[:, None, 2:] + priors[:, None, :2]
    return torch.cat([center - half, center + half], dim=-1), points.flatten(-2)


def encode(boxes: Tensor, landmarks: Tensor, priors: Tensor) -> tuple[Tensor, Tensor]:
    """Positions -> offsets: the inverse of :func:`decode`, one box and one set of points for each anchor."""
    size = boxes[..., 2:] - boxes[..., :2]
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    offsets = torch.cat(
        [
            (center - priors[:, :2]) / (VARIANCE[0] * priors[:, 2:]),
            torch.log(size / priors[:, 2:]) / VARIANCE[1],
        ],
        dim=-1,
    )
    points = (landmarks.unflatten(-1, (5, 2)) - priors[:, None, :2]) / (VARIANCE[0] * priors[:, None, 2:])
    return offsets, points.flatten(-2)


def fuse_batch_norms(network: RetinaFace) -> RetinaFace:
    """Copy a network for inference only, its batch norms folded into the convolutions: the same results, sooner."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            pairs = zip(list(module), list(module)[1:], strict=False)
            for index, (conv, norm) in enumerate(pairs):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def preprocess(images: Tensor) -> Tensor:
    """(N, 3, H, W) R, G, B in 0..255 -> the network's input."""
    mean = torch.tensor(MEAN, dtype=images.dtype, device=images.device)
    return images.flip(1) - mean[:, None, None]


def propose(network: RetinaFace, images: Tensor) -> Proposals:
    """Run a network in evaluation mode, whatever its phase, on images (N, 3, H, W) float, R, G, B in 0..255.

    Returns boxes, scores and landmarks of all anchors, in pixels (the center of the first pixel is 0, 0).
    """
    height, width = images.shape[-2:]
    boxes, scores, landmarks = network(preprocess(images))
    if network.phase == "train":
        scores = scores.softmax(-1)
    priors = anchors(height, width).to(boxes)
    extent = boxes.new_tensor([width, height])
    boxes, landmarks = decode(boxes, landmarks, priors)
    return Proposals(boxes * extent.repeat(2), scores[..., 1], landmarks.unflatten(-1, (5, 2)) * extent)
