"""Degradations as settings: a list of steps in YAML -> a function, checked as strictly as all settings.

::

    - {step: blur, sigma: [0.1, 10]}
    - {step: shrink, factor: [1, 8]}
    - {step: sometimes, probability: 0.2, steps: [{step: sepia}, {step: scratches, count: [2, 6]}]}
    - {step: noise}
    - {step: jpeg, quality: [60, 100]}

A list is :class:`.sequence.FFHQDegradation` with these steps; ``{degradation: ffhq}`` and the like name
one of the published degradations. Code may put any callable in the place of a mapping.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter
from pydantic.dataclasses import dataclass

from revisage.training.data.degradations.blur import Blur, MixedBlur
from revisage.training.data.degradations.colour import ChannelShift, ColourJitter, Exposure, Gray, Haze
from revisage.training.data.degradations.extended_degradation import UnevenDegradation
from revisage.training.data.degradations.ffhq_degradation import FFHQOptions
from revisage.training.data.degradations.jpeg import Jpeg
from revisage.training.data.degradations.noise import Noise, PoissonNoise
from revisage.training.data.degradations.old_photo import (
    Dust,
    Fading,
    FilmGrain,
    Halftone,
    PaperTexture,
    Scratches,
    Sepia,
)
from revisage.training.data.degradations.resize import Resize, Shrink, fused
from revisage.training.data.degradations.second_order import SecondOrder
from revisage.training.data.degradations.sequence import FFHQDegradation
from revisage.training.data.degradations.step import STRICT, Degradation, Probability, Step
from revisage.types import FloatImage


def step_of(settings: object) -> Step:
    """``{"step": name, ...}`` -> the step of that name with these settings; a callable is taken as it is.

    Raises:
        pydantic.ValidationError, ValueError: an unknown name or key (the nearest known are named), or a wrong value.
    """
    return _built(settings, "step", STEPS)


def degradation_of(settings: object) -> Degradation:
    """A list of steps, ``{"degradation": name, ...}`` or a callable -> a degradation. Errors as in :func:`step_of`."""
    if isinstance(settings, list | tuple):
        settings = {"degradation": "steps", "steps": settings}
    return _built(settings, "degradation", DEGRADATIONS)


def settings_of(built: object) -> Any:
    """The inverse of :func:`step_of` and :func:`degradation_of`, all settings written out; own callables by name."""
    for tag, table in (("step", STEPS), ("degradation", DEGRADATIONS)):
        for name, kind in table.items():
            if type(built) is kind:
                return {tag: name, **TypeAdapter(kind).dump_python(built, mode="json")}
    return getattr(built, "__qualname__", type(built).__qualname__)


StepSettings = Annotated[Step, PlainValidator(step_of), PlainSerializer(settings_of)]
"""The type of a step in settings."""
DegradationSettings = Annotated[Degradation, PlainValidator(degradation_of), PlainSerializer(settings_of)]
"""The type of a degradation in settings."""


@dataclass(frozen=True, config=STRICT)
class Sometimes:
    """Apply ``steps``, all of them or none."""

    probability: Probability
    steps: tuple[StepSettings, ...]

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        if rng.random() < self.probability:
            for step in self.steps:
                image = step(image, rng)
        return image


@dataclass(frozen=True, config=STRICT)
class OneOf:
    """Apply one of ``steps``, all equally likely."""

    steps: Annotated[tuple[StepSettings, ...], Field(min_length=1)]

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        return self.steps[int(rng.integers(len(self.steps)))](image, rng)


@dataclass(frozen=True, config=STRICT)
class Shuffled:
    """Apply ``steps`` in random order."""

    steps: tuple[StepSettings, ...]

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        """Apply the step."""
        for index in rng.permutation(len(self.steps)):
            image = self.steps[index](image, rng)
        return image


@dataclass(frozen=True, config=STRICT)
class Steps:
    """Steps, and the result at its old size again.

    Attributes:
        steps: what is done to the degraded picture.
        gray: probability that both pictures become gray before.
        both: steps that both pictures go through after that, such as sepia, which a restorer then learns to leave.
    """

    steps: tuple[StepSettings, ...]
    gray: Probability = 0.0
    both: tuple[StepSettings, ...] = ()

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt)."""
        return self._degradation(gt, rng)

    @cached_property
    def _degradation(self) -> FFHQDegradation:
        return FFHQDegradation(fused(self.steps), self.gray, self.both)


STEPS: dict[str, Any] = {
    "blur": Blur,
    "mixed_blur": MixedBlur,
    "shrink": Shrink,
    "resize": Resize,
    "noise": Noise,
    "poisson_noise": PoissonNoise,
    "jpeg": Jpeg,
    "gray": Gray,
    "exposure": Exposure,
    "haze": Haze,
    "channel_shift": ChannelShift,
    "colour_jitter": ColourJitter,
    "sepia": Sepia,
    "fading": Fading,
    "scratches": Scratches,
    "dust": Dust,
    "halftone": Halftone,
    "paper_texture": PaperTexture,
    "film_grain": FilmGrain,
    "second_order": SecondOrder,
    "sometimes": Sometimes,
    "one_of": OneOf,
    "shuffled": Shuffled,
}
DEGRADATIONS: dict[str, Any] = {"steps": Steps, "ffhq": FFHQOptions, "uneven": UnevenDegradation}


def _built(settings: object, tag: str, table: Mapping[str, Any]) -> Any:
    if callable(settings):
        return settings
    if not isinstance(settings, Mapping) or tag not in settings:
        raise ValueError(f"a mapping with the key {tag} is needed, not {settings!r}")
    values: dict[str, Any] = {str(key): value for key, value in settings.items()}
    name = values.pop(tag)
    if name not in table:
        raise ValueError(f"unknown {tag} {name!r}; {_nearest(str(name), table)}")
    fields = [field.name for field in dataclasses.fields(table[name])]
    for key in values:
        if key not in fields:
            raise ValueError(f"unknown key {key!r} of {name}; {_nearest(key, fields)}")
    return TypeAdapter(table[name]).validate_python(values)


def _nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    near = difflib.get_close_matches(name, known, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
