"""Loss terms that compare a restored image with its original: each a group of settings, and a function built from it.

A term that a recipe leaves out is not built, so it costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from revisage.evaluation.metrics.networks import read_arcface, read_channel_weights, read_descriptor, read_vgg16
from revisage.evaluation.metrics.perceptual import lpips, vgg_cosine
from revisage.models.nets.arcface import gray_faces
from revisage.models.nets.dlib_face_net import chips, shows_chip
from revisage.training.config import Strict, read_file
from revisage.training.losses.features import (
    VGG19_WEIGHTS,
    features_of_both,
    identity_distance,
    perceptual_loss,
    read_vgg19,
    style_loss,
)
from revisage.training.losses.image import (
    DISTANCES,
    PixelDistance,
    chroma_loss,
    fft_loss,
    focal_frequency_loss,
    lattice_loss,
    pixel_loss,
    pyramid_loss,
    ssim,
    ssim_shortfall,
    wavelet_loss,
)


@dataclass(frozen=True)
class LossInputs:
    """A batch after the generator has worked on it.

    Attributes:
        restored, gt: (N, 3, P, P) RGB in [-1, 1].
        detail: (N,) 1 where ``gt`` has detail at full size, 0 where it was enlarged.
        corners: left and top of each patch in its face.
        rgb_pyramid: RGB outputs of the generator's levels, coarsest first; empty if it has none.
        size: side of a whole face in pixels.
        images: count at the beginning of the step.
        degraded: (N, 3, P, P) what the generator was to restore; None in tasks that have no term for it.
    """

    restored: Tensor
    gt: Tensor
    detail: Tensor
    corners: list[tuple[float, float]]
    rgb_pyramid: list[Tensor]
    size: int
    images: int
    degraded: Tensor | None = None

    def masked_mean(self, compare: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A mean over the samples whose original has detail, times their share of the batch; zero if there are none."""
        chosen = self.detail.nonzero().flatten()
        if not len(chosen):
            return self.zero_loss()
        return len(chosen) / len(self.restored) * compare(self.restored[chosen], self.gt[chosen])

    def mean_at_own_resolution(self, compare: Callable[..., Tensor], *more: Tensor) -> Tensor:
        """A mean over all samples, each at the resolution that its original has: full size or half of it.

        ``compare`` is given the restored samples, their originals and those of ``more``, further images.
        """
        loss = self.zero_loss()
        for detail, factor in ((1, 1), (0, 2)):
            chosen = (self.detail == detail).nonzero().flatten()
            if len(chosen):
                images = (F.avg_pool2d(batch[chosen], factor) for batch in (self.restored, self.gt, *more))
                loss = loss + len(chosen) / len(self.restored) * compare(*images)
        return loss

    def zero_loss(self) -> Tensor:
        """A loss of zero that depends on the generator."""
        return 0.0 * self.restored.sum()


Term = Callable[[LossInputs], Tensor]


class PixelTerm(Strict):
    """Distance of pixels, at the resolution that each original has."""

    weight: PositiveFloat = 1.0
    distance: PixelDistance = "l1"

    def build(self) -> Term:
        return lambda inputs: (
            self.weight * pixel_loss(inputs.restored, inputs.gt, inputs.detail, DISTANCES[self.distance])
        )


class ChromaTerm(Strict):
    """Distance of colors without their luma, see :func:`.losses.image.chroma_loss`, at each original's resolution."""

    weight: PositiveFloat = 1.0

    def build(self) -> Term:
        return lambda inputs: self.weight * inputs.mean_at_own_resolution(chroma_loss)


class PyramidTerm(Strict):
    """Distance of the RGB outputs of the generator's levels, for networks that have them."""

    weight: PositiveFloat = 1.0
    until: float = math.inf

    def build(self) -> Term:
        def term(inputs: LossInputs) -> Tensor:
            if inputs.images > self.until or not inputs.rgb_pyramid:
                return inputs.zero_loss()
            return self.weight * pyramid_loss(inputs.rgb_pyramid, inputs.gt)

        return term


class FrequencyTerm(Strict):
    """Distance of spectra or wavelet coefficients."""

    weight: PositiveFloat = 1.0
    kind: Literal["fft", "focal", "wavelet"] = "wavelet"

    def build(self) -> Term:
        distance = {"fft": fft_loss, "focal": focal_frequency_loss, "wavelet": wavelet_loss}[self.kind]

        return lambda inputs: self.weight * inputs.masked_mean(distance)


class LatticeTerm(Strict):
    """Strength of patterns that repeat every few pixels, see :func:`.losses.image.lattice_loss`."""

    weight: PositiveFloat = 1.0

    def build(self) -> Term:
        return lambda inputs: self.weight * lattice_loss(inputs.restored, inputs.gt)


class SSIMTerm(Strict):
    """What structural similarity lacks, see :func:`.losses.image.ssim`, at the resolution that each original has.

    Attributes:
        above_input: None: it lacks 1 - SSIM. A number: only what it falls short of the degraded image's SSIM plus this
            number. So other terms may draw detail as long as no face is less like its original than its input was.
    """

    weight: PositiveFloat = 1.0
    above_input: float | None = None

    def build(self) -> Term:
        margin = self.above_input
        if margin is None:
            return lambda inputs: self.weight * inputs.mean_at_own_resolution(lambda *pair: 1 - ssim(*pair).mean())

        shortfall = partial(ssim_shortfall, margin=margin)

        def term(inputs: LossInputs) -> Tensor:
            if inputs.degraded is None:
                raise ValueError("this task does not tell its loss terms what was to be restored")
            return self.weight * inputs.mean_at_own_resolution(shortfall, inputs.degraded)

        return term


class CosinePerceptualTerm(Strict):
    """Angles between features of VGG16, which count alike at every stage (Zhang et al. 2018, arXiv 1801.03924).

    Originals that were enlarged from half their size are compared there.

    Attributes:
        file: npz file with VGG16 weights named ``conv1_1.weight`` ...
        stages: how many stages of VGG16 are compared.
        patch: side of the random part of each image on which they are; None: all of it.
    """

    network: Literal["vgg16"] = "vgg16"
    weight: PositiveFloat = 1.0
    file: Path
    stages: PositiveInt = 5
    patch: PositiveInt | None = None

    def build(self) -> Term:
        features = read_file(partial(read_vgg16, stages=self.stages), self.file, "task.losses.perceptual.file")

        def compare(restored: Tensor, gt: Tensor) -> Tensor:
            pair = _same_part(torch.stack([restored, gt]), self.patch)
            found, targets = features_of_both(features.to(gt.device), pair[0], pair[1])
            return vgg_cosine(found, targets).mean()

        return lambda inputs: self.weight * inputs.mean_at_own_resolution(compare)


class PerceptualTerm(Strict):
    """GFP-GAN's perceptual and style loss on features of VGG19.

    Attributes:
        weight, style: of the distance between features, and between their Gram matrices; 0: not compared.
        file: torchvision's weights of VGG19 for ImageNet.
        layers: weight of each layer.
    """

    network: Literal["vgg19"] = "vgg19"
    weight: NonNegativeFloat = 1.0
    style: float = 50.0
    file: Path
    layers: dict[str, float] = Field(default_factory=lambda: dict(VGG19_WEIGHTS))

    def build(self) -> Term:
        features = read_file(partial(read_vgg19, layers=tuple(self.layers)), self.file, "task.losses.perceptual.file")
        weights = tuple(self.layers.values())

        def compare(restored: Tensor, gt: Tensor) -> Tensor:
            found, targets = features_of_both(features.to(gt.device), restored, gt)
            loss = self.weight * perceptual_loss(found, targets, weights)
            return loss + self.style * style_loss(found, targets, weights) if self.style else loss

        return lambda inputs: inputs.masked_mean(compare)


class LpipsTerm(Strict):
    """LPIPS on VGG16 (Zhang et al. 2018, arXiv 1801.03924), RestoreFormer's perceptual loss.

    Attributes:
        file: torchvision's weights of VGG16 for ImageNet.
        channels: published weights of the channels (``vgg.pth`` of LPIPS 0.1).
        stages: how many stages of VGG16 are compared; five in the published distance.
    """

    network: Literal["lpips"] = "lpips"
    weight: PositiveFloat = 1.0
    file: Path
    channels: Path
    stages: PositiveInt = 5

    def build(self) -> Term:
        features = read_file(partial(read_vgg16, stages=self.stages), self.file, "task.losses.perceptual.file")
        channels = read_file(read_channel_weights, self.channels, "task.losses.perceptual.channels")[: self.stages]

        def compare(restored: Tensor, gt: Tensor) -> Tensor:
            found, targets = features_of_both(features.to(gt.device), restored, gt)
            return lpips(found, targets, channels).mean()

        return lambda inputs: self.weight * inputs.masked_mean(compare)


class DescriptorIdentityTerm(Strict):
    """Euclidean distance of DlibFaceNet's vectors, of the patches that show all it looks at."""

    network: Literal["descriptor"] = "descriptor"
    weight: PositiveFloat = 1.0
    file: Path

    def build(self) -> Term:
        descriptor = read_file(read_descriptor, self.file, "task.losses.identity.file")

        def term(inputs: LossInputs) -> Tensor:
            side = inputs.restored.shape[-1]
            pairs = [
                chips(torch.stack([mine, theirs]), size=inputs.size, corner=corner)
                for mine, theirs, corner in zip(inputs.restored, inputs.gt, inputs.corners, strict=True)
                if shows_chip(corner, side, size=inputs.size)
            ]
            if not pairs:
                return inputs.zero_loss()
            cut = torch.stack(pairs, dim=1)
            found, targets = features_of_both(lambda x: [descriptor.to(x.device)(x)], cut[0], cut[1])
            return self.weight * identity_distance(found[0], targets[0], "euclidean").sum() / len(inputs.restored)

        return term


class ArcFaceIdentityTerm(Strict):
    """GFP-GAN's identity loss: mean absolute difference of ArcFace's vectors of whole gray faces."""

    network: Literal["arcface"] = "arcface"
    weight: PositiveFloat = 10.0
    file: Path

    def build(self) -> Term:
        arcface = read_file(read_arcface, self.file, "task.losses.identity.file")

        def term(inputs: LossInputs) -> Tensor:
            found, targets = features_of_both(
                lambda x: [arcface.to(x.device)(gray_faces(x))], inputs.restored, inputs.gt
            )
            return self.weight * identity_distance(found[0], targets[0], "l1").mean()

        return term


AnyPerceptualTerm: TypeAlias = Annotated[
    CosinePerceptualTerm | LpipsTerm | PerceptualTerm, Field(discriminator="network")
]
AnyIdentityTerm: TypeAlias = Annotated[DescriptorIdentityTerm | ArcFaceIdentityTerm, Field(discriminator="network")]


def _same_part(images: Tensor, side: int | None) -> Tensor:
    """A random square of (..., H, W), the same of all; the whole if there is no more."""
    if side is None or side >= images.shape[-1]:
        return images
    room = images.shape[-1] - side
    top, left = (int(torch.randint(0, room + 1, ())) for _ in range(2))
    return images[..., top : top + side, left : left + side]
