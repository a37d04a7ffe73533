"""The published degradations: GFP-GAN's, RestoreFormer++'s extended one, and Real-ESRGAN's second-order step."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.blur import (
    BlurAndDownsample,
    Downsample,
    KernelKind,
    MixedBlur,
    Resize,
    Size,
    Weight,
    enlarge,
    fuse,
    resize_randomly,
)
from revisage.training.data.degradations.steps import (
    STRICT,
    ChannelShift,
    ColorJitter,
    Haze,
    Jpeg,
    Noise,
    NonNegativeRange,
    PoissonNoise,
    PositiveRange,
    Probability,
    QualityRange,
    Range,
    Step,
    quantize,
    to_gray,
)
from revisage.types import FloatImage

FFHQKernel = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]


@dataclass(frozen=True, config=STRICT)
class FFHQDegradation:
    """The degradation of GFP-GAN's FFHQDegradationDataset (Wang et al. 2021, arXiv 2101.04061), its options included.

    The defaults are the published values; "no colorisation" has ``color_jitter_prob=0, color_jitter_pt_prob=0,
    gt_gray=True``. Order: blur, downsample, noise, JPEG, enlarge; shift of the channels; gray; jitter of brightness,
    contrast, saturation and hue in random order; rounding to 256 levels.

    Attributes:
        blur_kernel_size: odd.
        kernel_list, kernel_prob: kinds of kernels and how often each is drawn.
        blur_sigma: in pixels.
        downsample_range: factors by which height and width are divided.
        noise_range, jpeg_range: sigmas in levels of 255, qualities; None for no such step.
        color_jitter_prob, color_jitter_shift: how often, and by how many levels at most, the channels are shifted.
        color_jitter_pt_prob: how often ``brightness``, ``contrast``, ``saturation`` and ``hue`` are changed.
        gray_prob, gt_gray: how often the degraded image becomes gray, and whether the original then does.
    """

    blur_kernel_size: Size = 41
    kernel_list: tuple[FFHQKernel, ...] = ("iso", "aniso")
    kernel_prob: tuple[Weight, ...] = (0.5, 0.5)
    blur_sigma: PositiveRange = (0.1, 10.0)
    downsample_range: PositiveRange = (0.8, 8.0)
    noise_range: NonNegativeRange | None = (0.0, 20.0)
    jpeg_range: QualityRange | None = (60.0, 100.0)
    color_jitter_prob: Probability = 0.3
    color_jitter_shift: Annotated[float, Field(ge=0)] = 20.0
    color_jitter_pt_prob: Probability = 0.3
    brightness: Range = (0.5, 1.5)
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.0, 1.5)
    hue: Range = (-0.1, 0.1)
    gray_prob: Probability = 0.01
    gt_gray: bool = False

    def __post_init__(self) -> None:
        if len(self.kernel_list) != len(self.kernel_prob) or not sum(self.kernel_prob) > 0:
            raise ValueError("kernel_list and kernel_prob have as many entries as each other, not all of them 0")

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3)."""
        lq = gt
        for step in self.steps:
            lq = step(lq, rng)
        lq = enlarge(lq, gt.shape[0], gt.shape[1])
        if rng.random() < self.color_jitter_prob:
            lq = ChannelShift(self.color_jitter_shift)(lq, rng)
        if rng.random() < self.gray_prob:
            lq, gt = to_gray(lq), to_gray(gt) if self.gt_gray else gt
        if rng.random() < self.color_jitter_pt_prob:
            lq = ColorJitter(self.brightness, self.contrast, self.saturation, self.hue)(lq, rng)
        return quantize(lq), gt

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps before the image is enlarged again."""
        sizes = self.blur_kernel_size, self.blur_kernel_size
        blur = MixedBlur(dict(zip(self.kernel_list, self.kernel_prob, strict=True)), sizes, self.blur_sigma)
        noise = [] if self.noise_range is None else [Noise(self.noise_range)]
        jpeg = [] if self.jpeg_range is None else [Jpeg(self.jpeg_range)]
        return fuse([blur, Downsample(self.downsample_range), *noise, *jpeg])


@dataclass(frozen=True, config=STRICT)
class ExtendedDegradation:
    """RestoreFormer++'s extending degrading model (Wang et al. 2023, arXiv 2308.07228).

    Blur, haze, downsample, noise, JPEG, enlarge; at times a square patch is degraded apart from the rest. The part of
    the model that concerns the original too, exposure and shift, is :class:`.components.ExtendedAugmentation`.

    Attributes:
        blur: kernels have 39 or 41 pixels.
        haze, haze_prob: a veil of white after the blur, and how often there is one.
        patch_prob, patch_size: how often a patch is degraded apart, and its size as a fraction of the image's.
        gray_prob: how often both images become gray.
    """

    blur: MixedBlur = Field(default_factory=lambda: MixedBlur(size=(39, 41)))
    haze: Haze = Field(default_factory=Haze)
    haze_prob: Probability = 0.008
    downsample: Downsample = Field(default_factory=Downsample)
    noise: Noise = Field(default_factory=Noise)
    jpeg: Jpeg = Field(default_factory=Jpeg)
    patch_prob: Probability = 0.1
    patch_size: Range = (0.25, 0.5)
    gray_prob: Probability = 0.008

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3)."""
        lq = self._degrade(gt, rng)
        if rng.random() < self.patch_prob:
            size = round(min(gt.shape[:2]) * rng.uniform(*self.patch_size))
            top, left = (int(rng.integers(0, length - size + 1)) for length in gt.shape[:2])
            lq[top : top + size, left : left + size] = self._degrade(gt, rng)[top : top + size, left : left + size]
        if rng.random() < self.gray_prob:
            lq, gt = to_gray(lq), to_gray(gt)
        return quantize(lq), gt

    def _degrade(self, gt: FloatImage, rng: np.random.Generator) -> FloatImage:
        lq = self._blur_and_downsample(gt, rng)
        # Haze mixes with a constant, so it may as well come after the downsampling, which leaves constants alone.
        if rng.random() < self.haze_prob:
            lq = self.haze(lq, rng)
        lq = self.jpeg(self.noise(lq, rng), rng)
        return enlarge(lq, gt.shape[0], gt.shape[1])

    @cached_property
    def _blur_and_downsample(self) -> BlurAndDownsample:
        return BlurAndDownsample(self.blur, self.downsample)


SECOND_ORDER_KINDS: dict[KernelKind, float] = {
    "iso": 0.405, "aniso": 0.225, "generalized_iso": 0.108, "generalized_aniso": 0.027,
    "plateau_iso": 0.108, "plateau_aniso": 0.027, "sinc": 0.1,
}  # fmt: skip
"""Shares of the paper: sinc one in ten, the others as 45 : 25 : 12 : 3 : 12 : 3."""


def _second_order_blur(sigma: Range) -> MixedBlur:
    return MixedBlur(SECOND_ORDER_KINDS, (7, 21), sigma, (0.5, 4.0), (1.0, 2.0), (np.pi / 3, np.pi))


@dataclass(frozen=True, config=STRICT)
class Round:
    """Blur, resize, noise (of two kinds, the first with ``gaussian_prob``), JPEG; a blur with ``blur_prob``."""

    blur: MixedBlur = Field(default_factory=lambda: _second_order_blur((0.2, 3.0)))
    blur_prob: Probability = 1.0
    resize: Resize = Field(default_factory=lambda: Resize((0.2, 0.7, 0.1), (0.15, 1.5)))
    gaussian: Noise = Field(default_factory=lambda: Noise((1.0, 30.0), gray=0.4))
    poisson: PoissonNoise = Field(default_factory=lambda: PoissonNoise((0.05, 3.0), gray=0.4))
    gaussian_prob: Probability = 0.5
    jpeg: Jpeg = Field(default_factory=lambda: Jpeg((30.0, 95.0)))

    def before_jpeg(
        self, image: FloatImage, rng: np.random.Generator, size: tuple[int, int] | None = None
    ) -> FloatImage:
        """Apply all but the JPEG; resize by factors of ``size``, (width, height), by default the image's own."""
        if rng.random() < self.blur_prob:
            image = self.blur(image, rng)
        image = self.resize.relative_to(image, size or (image.shape[1], image.shape[0]), rng)
        noise = self.gaussian if rng.random() < self.gaussian_prob else self.poisson
        return noise(image, rng)


def _second_round() -> Round:
    return Round(
        blur=_second_order_blur((0.2, 1.5)),
        blur_prob=0.8,
        resize=Resize((0.3, 0.4, 0.3), (0.3, 1.2)),
        gaussian=Noise((1.0, 25.0), gray=0.4),
        poisson=PoissonNoise((0.05, 2.5), gray=0.4),
    )


@dataclass(frozen=True, config=STRICT)
class SecondOrder:
    """Real-ESRGAN's step: two rounds, and a sinc filter before or after the last JPEG (arXiv 2107.10833).

    Attributes:
        first, second: the rounds; factors of the second's resize refer to the final size.
        scale: factor by which the result is smaller than the original.
        ringing, ringing_prob: the sinc filter, and how often there is one.
    """

    first: Round = Field(default_factory=Round)
    second: Round = Field(default_factory=_second_round)
    scale: Annotated[float, Field(gt=0)] = 4.0
    ringing: MixedBlur = Field(default_factory=lambda: MixedBlur({"sinc": 1.0}, (7, 21)))
    ringing_prob: Probability = 0.8

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step: (H, W, 3) -> (H / scale, W / scale, 3)."""
        height, width = (max(int(side / self.scale), 1) for side in image.shape[:2])
        image = self.first.jpeg(self.first.before_jpeg(image, rng), rng)
        image = self.second.before_jpeg(image, rng, (width, height))
        if rng.random() < 0.5:
            return self.second.jpeg(self._resize_and_ring(image, (width, height), rng), rng)
        return self._resize_and_ring(self.second.jpeg(image, rng), (width, height), rng)

    def _resize_and_ring(self, image: FloatImage, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
        image = resize_randomly(image, size, rng)
        if rng.random() >= self.ringing_prob:
            return image
        return np.clip(cv2.filter2D(image, -1, self.ringing.kernel(rng)), 0, 1).astype(np.float32)
