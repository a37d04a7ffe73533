"""The degradation of GFP-GAN's FFHQDegradationDataset, whole: its options, its order, its colour jitter."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.blur import MixedBlur, Size
from revisage.training.data.degradations.colour import ChannelShift, ColourJitter, to_gray
from revisage.training.data.degradations.jpeg import Jpeg
from revisage.training.data.degradations.noise import Noise
from revisage.training.data.degradations.resize import Shrink, fused
from revisage.training.data.degradations.sequence import enlarged, in_levels
from revisage.training.data.degradations.step import STRICT, Probability, Range, Step
from revisage.types import FloatImage

FFHQKernel = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]


@dataclass(frozen=True, config=STRICT)
class FFHQOptions:
    """GFP-GAN's degradation under the published names of its options (Wang et al. 2021, arXiv 2101.04061).

    The defaults are the published values. The recipe that leaves colours alone ("no colorisation") has
    ``color_jitter_prob=0, color_jitter_pt_prob=0, gt_gray=True``.

    Order: blur, downsample, noise, JPEG, enlarge; shift of the channels; gray; jitter of brightness, contrast,
    saturation and hue in random order; rounding to 256 levels.

    Attributes:
        blur_kernel_size: odd.
        kernel_list, kernel_prob: kinds of kernels and how often each is drawn.
        blur_sigma: in pixels.
        downsample_range: factors by which the sides are divided.
        noise_range: sigmas in levels of 255; None for no noise.
        jpeg_range: qualities; None for no JPEG.
        color_jitter_prob, color_jitter_shift: how often, and by how many levels at most, the channels are shifted.
        color_jitter_pt_prob: how often ``brightness``, ``contrast``, ``saturation`` and ``hue`` are changed.
        gray_prob: how often the degraded picture becomes gray.
        gt_gray: whether the original then becomes gray too.
    """

    blur_kernel_size: Size = 41
    kernel_list: tuple[FFHQKernel, ...] = ("iso", "aniso")
    kernel_prob: tuple[Annotated[float, Field(ge=0)], ...] = (0.5, 0.5)
    blur_sigma: Range = (0.1, 10.0)
    downsample_range: Range = (0.8, 8.0)
    noise_range: Range | None = (0.0, 20.0)
    jpeg_range: Range | None = (60.0, 100.0)
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
        """Kinds and probabilities belong together."""
        if len(self.kernel_list) != len(self.kernel_prob) or not sum(self.kernel_prob) > 0:
            raise ValueError("kernel_list and kernel_prob have as many entries as each other, not all of them 0")

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3)."""
        lq = gt
        for step in self.steps:
            lq = step(lq, rng)
        lq = enlarged(lq, gt.shape[0], gt.shape[1])
        if rng.random() < self.color_jitter_prob:
            lq = ChannelShift(self.color_jitter_shift)(lq, rng)
        if rng.random() < self.gray_prob:
            lq, gt = to_gray(lq), to_gray(gt) if self.gt_gray else gt
        if rng.random() < self.color_jitter_pt_prob:
            lq = ColourJitter(self.brightness, self.contrast, self.saturation, self.hue)(lq, rng)
        return in_levels(lq), gt

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What happens before the picture is enlarged again."""
        sizes = self.blur_kernel_size, self.blur_kernel_size
        blur = MixedBlur(dict(zip(self.kernel_list, self.kernel_prob, strict=True)), sizes, self.blur_sigma)
        noise = [] if self.noise_range is None else [Noise(self.noise_range)]
        jpeg = [] if self.jpeg_range is None else [Jpeg(self.jpeg_range)]
        return fused([blur, Shrink(self.downsample_range), *noise, *jpeg])
