"""Steps that blur or change the size, and the one that does both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal, Protocol

import cv2
import numpy as np
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations import kernels
from revisage.training.data.degradations.kernels import Kernel, blur_and_resize, check_odd
from revisage.training.data.degradations.steps import STRICT, PositiveRange, Probability, Range, Step
from revisage.types import FloatImage

KernelKind = Literal[
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"
]  # fmt: skip
Size = Annotated[int, Field(ge=1), AfterValidator(check_odd)]
Weight = Annotated[float, Field(ge=0)]
"""How often something is drawn, relative to the others."""


@dataclass(frozen=True, config=STRICT)
class Blur:
    """Gaussian blur; isotropic with probability ``isotropic``, else of any direction. Sigmas in pixels."""

    sigma: PositiveRange = (0.1, 10.0)
    isotropic: Probability = 0.5
    size: Size = 41

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        return kernels.gaussian_blur(image, self.size, *self._draw_shape(rng))

    def kernel(self, rng: np.random.Generator) -> Kernel:
        """Draw a kernel, with the same draws as the step itself."""
        return kernels.gaussian_kernel(self.size, *self._draw_shape(rng))

    def _draw_shape(self, rng: np.random.Generator) -> tuple[float] | tuple[float, float, float]:
        if rng.random() < self.isotropic:
            return (rng.uniform(*self.sigma),)
        sigma_x, sigma_y = rng.uniform(*self.sigma, size=2)
        return sigma_x, sigma_y, rng.uniform(-np.pi, np.pi)


@dataclass(frozen=True, config=STRICT)
class MixedBlur:
    """Blur with a kernel of one of several kinds (Wang et al. 2021, arXiv 2107.10833).

    Attributes:
        kinds: kind -> weight.
        size: smallest and largest, odd; all odd sizes between are equally likely.
        sigma: in pixels; one draw for isotropic kernels, two and an angle for the others.
        generalized_beta, plateau_beta: exponents; half of the draws are below 1, half above, where the range spans 1.
        cutoff: of sinc kernels, in radians a pixel.
        noise: factors for each value of a kernel (not of plateaus and sincs); None for no such noise.
    """

    kinds: dict[KernelKind, Weight] = Field(default_factory=lambda: {"iso": 0.5, "aniso": 0.5})
    size: tuple[Size, Size] = (41, 41)
    sigma: PositiveRange = (0.1, 10.0)
    generalized_beta: PositiveRange = (0.5, 8.0)
    plateau_beta: PositiveRange = (1.0, 2.0)
    cutoff: Range = (np.pi / 3, np.pi)
    noise: Range | None = None

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step, as exactly as :func:`.kernels.blur_and_resize`."""
        return blur_and_resize(image, self.kernel(rng), (image.shape[1], image.shape[0]))

    def kernel(self, rng: np.random.Generator) -> Kernel:
        """Draw a kernel, with the same draws as the step itself."""
        bounds = np.cumsum(list(self.kinds.values()))
        kind = list(self.kinds)[int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))]
        size = 2 * int(rng.integers(self.size[0] // 2, self.size[1] // 2 + 1)) + 1
        if kind == "sinc":
            return kernels.sinc_kernel(size, rng.uniform(*self.cutoff))
        if kind.endswith("aniso"):
            shape = rng.uniform(*self.sigma), rng.uniform(*self.sigma), rng.uniform(-np.pi, np.pi)
        else:
            shape = (rng.uniform(*self.sigma),)
        if kind.startswith("plateau"):
            return kernels.plateau_kernel(size, *shape, beta=_draw_around_one(self.plateau_beta, rng))
        if kind.startswith("generalized"):
            kernel = kernels.generalized_kernel(size, *shape, beta=_draw_around_one(self.generalized_beta, rng))
        else:
            kernel = kernels.gaussian_kernel(size, *shape)
        return kernel if self.noise is None else kernels.add_kernel_noise(kernel, self.noise, rng)


@dataclass(frozen=True, config=STRICT)
class Downsample:
    """Divide height and width by a factor (below 1 enlarges); bilinear, no antialias, sizes rounded down."""

    factor: PositiveRange = (0.8, 8.0)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        size = self.size(image.shape[0], image.shape[1], rng)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.float32)

    def size(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a factor -> (width, height) after the step."""
        factor = rng.uniform(*self.factor)
        return max(int(width // factor), 1), max(int(height // factor), 1)


@dataclass(frozen=True, config=STRICT)
class Resize:
    """Enlarge, shrink or keep, by area, bilinearly or bicubically (Wang et al. 2021, arXiv 2107.10833).

    Attributes:
        modes: weights of enlarging, shrinking and keeping.
        scale: lowest factor, for shrinking, and highest, for enlarging, of height and width; 1 lies between.
    """

    modes: tuple[Weight, Weight, Weight] = (0.2, 0.7, 0.1)
    scale: PositiveRange = (0.15, 1.5)

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        return self.relative_to(image, (image.shape[1], image.shape[0]), rng)

    def relative_to(self, image: FloatImage, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
        """Apply the step with factors of ``size``, (width, height), instead of the image's own."""
        weights = np.array(self.modes)
        mode = int(rng.choice(3, p=weights / weights.sum()))
        scale = (rng.uniform(1, self.scale[1]), rng.uniform(self.scale[0], 1), 1.0)[mode]
        width, height = (max(int(side * scale), 1) for side in size)
        return resize_randomly(image, (width, height), rng)


class _HasKernel(Protocol):
    def kernel(self, rng: np.random.Generator) -> Kernel: ...


@plain_dataclass(frozen=True)
class BlurAndDownsample:
    """A blur and a downsampling in a fraction of their time: the same draws, and very nearly the same image."""

    blur: _HasKernel
    downsample: Downsample

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        kernel = self.blur.kernel(rng)
        return blur_and_resize(image, kernel, self.downsample.size(image.shape[0], image.shape[1], rng))


def fuse(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Replace each blur that a downsampling follows by one step that does both."""
    fused: list[Step] = []
    for step in steps:
        last = fused[-1] if fused else None
        if isinstance(step, Downsample) and isinstance(last, Blur | MixedBlur):
            fused[-1] = BlurAndDownsample(last, step)
        else:
            fused.append(step)
    return tuple(fused)


def enlarge(image: FloatImage, height: int, width: int) -> FloatImage:
    """Resize to the given size, bilinearly."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def resize_randomly(image: FloatImage, size: tuple[int, int], rng: np.random.Generator) -> FloatImage:
    """Resize to (width, height) by area, bilinearly or bicubically, within [0, 1]."""
    method = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(3))]
    resized = np.asarray(cv2.resize(image, size, interpolation=method), np.float32)
    return np.clip(resized, 0, 1, out=resized) if method == cv2.INTER_CUBIC else resized


def _draw_around_one(limits: Range, rng: np.random.Generator) -> float:
    """Draw a number that is as likely below 1 as above."""
    low, high = limits
    if low >= 1 or high <= 1:
        return rng.uniform(low, high)
    return rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
