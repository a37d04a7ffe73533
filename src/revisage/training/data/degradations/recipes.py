"""Degradations as settings: YAML -> a function, validated as strictly as all settings.

::

    - {step: blur, sigma: [0.1, 10]}
    - {step: downsample, factor: [1, 8]}
    - {step: random_apply, probability: 0.2, steps: [{step: sepia}, {step: scratches, count: [2, 6]}]}
    - {step: noise}
    - {step: jpeg, quality: [60, 100]}

A list is :class:`Steps`; ``{degradation: ffhq}`` and others name a published degradation. Code may put any callable in
the place of a mapping.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter
from pydantic.dataclasses import dataclass

from revisage.errors import near_or_known
from revisage.training.data.degradations import blur, lookalikes, old_photo, print_damage, steps
from revisage.training.data.degradations.published import ExtendedDegradation, FFHQDegradation, SecondOrder
from revisage.training.data.degradations.steps import STRICT, Degradation, Probability, Step
from revisage.types import FloatImage


def build_step(settings: object) -> Step:
    """``{"step": name, ...}`` -> the step of that name with these settings; a callable is returned as it is.

    pydantic.ValidationError, ValueError: an unknown name or key (the nearest known are named), or a wrong value.
    """
    return _build(settings, "step", STEPS)


def build_degradation(settings: object) -> Degradation:
    """A list of steps, ``{"degradation": name, ...}`` or a callable -> a degradation.

    pydantic.ValidationError, ValueError: an unknown name or key (the nearest known are named), or a wrong value.
    """
    if isinstance(settings, list | tuple):
        settings = {"degradation": "steps", "steps": settings}
    return _build(settings, "degradation", DEGRADATIONS)


def to_settings(built: object) -> Any:
    """Invert :func:`build_step` and :func:`build_degradation`, all settings written out; own callables by name."""
    for tag, table in (("step", STEPS), ("degradation", DEGRADATIONS)):
        for name, kind in table.items():
            if type(built) is kind:
                return {tag: name, **TypeAdapter(kind).dump_python(built, mode="json")}
    return getattr(built, "__qualname__", type(built).__qualname__)


StepSettings = Annotated[Step, PlainValidator(build_step), PlainSerializer(to_settings)]
"""The type of a step in settings."""
DegradationSettings = Annotated[Degradation, PlainValidator(build_degradation), PlainSerializer(to_settings)]
"""The type of a degradation in settings."""


@dataclass(frozen=True, config=STRICT)
class RandomApply:
    """Apply all of ``steps``, with a probability."""

    probability: Probability
    steps: tuple[StepSettings, ...]

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        if rng.random() < self.probability:
            for step in self.steps:
                image = step(image, rng)
        return image


@dataclass(frozen=True, config=STRICT)
class RandomChoice:
    """Apply one of ``steps``, all equally likely."""

    steps: Annotated[tuple[StepSettings, ...], Field(min_length=1)]

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        return self.steps[int(rng.integers(len(self.steps)))](image, rng)


@dataclass(frozen=True, config=STRICT)
class RandomOrder:
    """Apply ``steps`` in random order."""

    steps: tuple[StepSettings, ...]

    def __call__(self, image: FloatImage, rng: np.random.Generator) -> FloatImage:
        for index in rng.permutation(len(self.steps)):
            image = self.steps[index](image, rng)
        return image


@dataclass(frozen=True, config=STRICT)
class Steps:
    """Steps in order; the result is enlarged to the size of the original, bilinearly.

    The default steps are those of GFP-GAN (Wang et al. 2021, arXiv 2101.04061, equation 12) without its color jitter,
    so that a restorer learns to leave colors alone.

    Attributes:
        steps: applied to the degraded image.
        gray: probability that both images become gray before.
        shared_steps: applied to both images after that: looks, such as sepia, that a restorer shall leave.
        exact: blur and downsample one after the other, instead of at once, which is faster.
    """

    steps: tuple[StepSettings, ...] = (blur.Blur(), blur.Downsample(), steps.Noise(), steps.Jpeg())
    gray: Probability = 0.0
    shared_steps: tuple[StepSettings, ...] = ()
    exact: bool = False

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """(H, W, 3) original -> (lq, gt), both (H, W, 3); lq is rounded to the 256 levels that a file would have."""
        if rng.random() < self.gray:
            gt = steps.to_gray(gt)
        for step in self.shared_steps:
            gt = step(gt, rng)
        lq = gt
        for step in self._fused_steps:
            lq = step(lq, rng)
        return steps.quantize(blur.enlarge(lq, gt.shape[0], gt.shape[1])), gt

    @cached_property
    def _fused_steps(self) -> tuple[Step, ...]:
        return self.steps if self.exact else blur.fuse(self.steps)


def choose_randomly(degradations: Sequence[Degradation]) -> Degradation:
    """Combine degradations into one that draws one of them for each image, all equally likely."""

    def degrade(gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        return degradations[int(rng.integers(len(degradations)))](gt, rng)

    return degrade


STEPS: dict[str, Any] = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in (
        *(blur.Blur, blur.MixedBlur, blur.Downsample, blur.Resize, steps.Noise, steps.PoissonNoise, steps.Jpeg),
        *(steps.Gray, steps.Exposure, steps.Haze, steps.ChannelShift, steps.ColorJitter),
        *(old_photo.Sepia, old_photo.Fading, old_photo.Scratches, old_photo.Dust, old_photo.Halftone),
        *(print_damage.PrintDamage, lookalikes.Lookalikes),
        *(old_photo.PaperTexture, old_photo.FilmGrain, SecondOrder, RandomApply, RandomChoice, RandomOrder),
    )
}
"""Steps by the names of their classes: MixedBlur is mixed_blur."""
DEGRADATIONS: dict[str, Any] = {"steps": Steps, "ffhq": FFHQDegradation, "extended": ExtendedDegradation}


def _build(settings: object, tag: str, table: Mapping[str, Any]) -> Any:
    if callable(settings):
        return settings
    if not isinstance(settings, Mapping) or tag not in settings:
        is_step = tag == "degradation" and isinstance(settings, Mapping) and "step" in settings
        hint = "; a step stands in a list, such as [[{step: blur}]]" if is_step else ""
        raise ValueError(f"a mapping with the key {tag} is needed, not {settings!r}{hint}")
    values: dict[str, Any] = {str(key): value for key, value in settings.items()}
    name = values.pop(tag)
    if name not in table:
        raise ValueError(f"unknown {tag} {name!r}; {near_or_known(str(name), table)}")
    fields = [field.name for field in dataclasses.fields(table[name])]
    for key in values:
        if key not in fields:
            raise ValueError(f"unknown key {key!r} of {name}; {near_or_known(key, fields)}")
    return TypeAdapter(table[name]).validate_python(values)
