"""Blur steps: Gaussian, and mixtures of all kernels of :mod:`revisage.training.data.degradations.kernels`."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations import kernels
from revisage.training.data.degradations.filtering import blurred_at
from revisage.training.data.degradations.kernels import Kernel
from revisage.training.data.degradations.step import STRICT, Probability, Range
from revisage.types import FloatImage

KernelKind = Literal[
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"
]  # fmt: skip


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"a kernel has a centre, so its size is odd, not {size}")
    return size


Size = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class Blurring(Protocol):
    """A blur step that can tell its kernel, so that it can be applied together with what follows."""

    def kernel(self, rng: np.random.Generator) -> Kernel:
        """Draw a kernel, with the same draws as the step itself."""
        ...


@dataclass(frozen=True, config=STRICT)
class Blur:
    """Gaussian blur; isotropic with probability ``isotropic``, else of any direction. Sigmas in pixels."""

    sigma: Range = (0.1, 10.0)
    isotropic: Probability = 0.5
    size: Size = 41

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step, exactly."""
        return kernels.blur(image, self.size, *self._shape(rng))

    def kernel(self, rng: np.random.Generator) -> Kernel:
        """Draw a kernel."""
        return kernels.gaussian_kernel(self.size, *self._shape(rng))

    def _shape(self, rng: np.random.Generator) -> tuple[float] | tuple[float, float, float]:
        if rng.random() < self.isotropic:
            return (rng.uniform(*self.sigma),)
        sigma_x, sigma_y = rng.uniform(*self.sigma, size=2)
        return sigma_x, sigma_y, rng.uniform(-np.pi, np.pi)


@dataclass(frozen=True, config=STRICT)
class MixedBlur:
    """Blur with a kernel of one of several kinds (Wang et al. 2021, arXiv 2107.10833).

    Attributes:
        kinds: kind -> how often, relative to the others.
        size: smallest and largest, odd; all odd sizes between are equally likely.
        sigma: in pixels; one draw for isotropic kernels, two and an angle for the others.
        generalized_beta, plateau_beta: exponents; half of the draws are below 1, half above, where the range spans 1.
        cutoff: of sinc kernels, in radians a pixel.
        noise: factors for each value of a kernel (not of plateaus and sincs); None for no such noise.
    """

    kinds: dict[KernelKind, Annotated[float, Field(ge=0)]] = Field(default_factory=lambda: {"iso": 0.5, "aniso": 0.5})
    size: tuple[Size, Size] = (41, 41)
    sigma: Range = (0.1, 10.0)
    generalized_beta: Range = (0.5, 8.0)
    plateau_beta: Range = (1.0, 2.0)
    cutoff: Range = (np.pi / 3, np.pi)
    noise: Range | None = None

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step, as exactly as :func:`revisage.training.data.degradations.filtering.blurred_at`."""
        return blurred_at(image, self.kernel(rng), (image.shape[1], image.shape[0]))

    def kernel(self, rng: np.random.Generator) -> Kernel:
        """Draw a kernel."""
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
            return kernels.plateau_kernel(size, *shape, beta=_around_one(self.plateau_beta, rng))
        if kind.startswith("generalized"):
            kernel = kernels.generalized_kernel(size, *shape, beta=_around_one(self.generalized_beta, rng))
        else:
            kernel = kernels.gaussian_kernel(size, *shape)
        return kernel if self.noise is None else kernels.noisy_kernel(kernel, self.noise, rng)


def _around_one(limits: Range, rng: np.random.Generator) -> float:
    """A draw that is as likely below 1 as above."""
    low, high = limits
    if low >= 1 or high <= 1:
        return rng.uniform(low, high)
    return rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
