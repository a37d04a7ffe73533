"""What degradations are made of: steps ``(image, rng) -> image`` on (H, W, 3) float32 RGB in [0, 1].

A step draws all that is random in it from ``rng``, leaves its input as it is, and may change the size. The steps that
the package brings are frozen dataclasses whose settings are checked when they are made; any function of this form is a
step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from revisage.types import FloatImage

Step = Callable[[FloatImage, np.random.Generator], FloatImage]
Degradation = Callable[[FloatImage, np.random.Generator], tuple[FloatImage, FloatImage]]
"""Original -> (lq, gt) of equal size."""

STRICT = ConfigDict(extra="forbid")
"""For ``pydantic.dataclasses.dataclass``: an unknown setting is an error."""


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"a range goes from low to high, not from {limits[0]:g} to {limits[1]:g}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value of a uniform draw."""
Probability = Annotated[float, Field(ge=0, le=1)]
