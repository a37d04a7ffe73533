"""Settings of a recipe: strict and typed. An unknown key is an error that names the nearest known ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from revisage.errors import RecipeError, WeightsError, near_or_known
from revisage.models.fetch import path_of
from revisage.models.registry import MODELS

Content = TypeVar("Content")


class Strict(BaseModel):
    """Base of all settings: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Name unknown keys together with what is wrong with the others."""
        unknown = [key for key in values if key not in cls.model_fields] if isinstance(values, Mapping) else []
        if not unknown:
            return handler(values)
        told = [f"unknown key {key!r}; {near_or_known(str(key), cls.model_fields)}" for key in unknown]
        faults = [InitErrorDetails(type="value_error", ctx={"error": ValueError(one)}, input=values) for one in told]
        try:
            handler({key: value for key, value in values.items() if key not in unknown})
        except ValidationError as error:
            faults += [
                InitErrorDetails(type=one["type"], loc=one["loc"], input=one["input"], ctx=one.get("ctx", {}))
                for one in error.errors()
            ]
        raise ValidationError.from_exception_data(cls.__name__, faults)


class OptimizerConfig(Strict):
    """AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101); without weight decay it is Adam.

    Attributes:
        muon: regular expression: matrices and convolutions in whose names it is found are updated by Muon
            (:class:`.optimizers.Muon`), at the same learning rate. It suits hidden layers; not the first, the last,
            nor position maps and other lists.
        factors: regular expression -> factor on the learning rate of the parameters in whose names it is found; of
            several the first counts.
    """

    learning_rate: PositiveFloat = 5e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: NonNegativeFloat = 0.0
    factors: dict[str, PositiveFloat] = Field(default_factory=dict)
    muon: str | None = None

    def uses_muon(self, parameter: str) -> bool:
        """Whether a matrix or convolution of this name is updated by Muon."""
        return self.muon is not None and re.search(self.muon, parameter) is not None

    def factor(self, parameter: str) -> float:
        """Factor on the learning rate of a parameter."""
        return next((factor for pattern, factor in self.factors.items() if re.search(pattern, parameter)), 1.0)


class ScheduleConfig(Strict):
    """Factor on the learning rates of all networks.

    Attributes:
        kind: "cosine" falls from 1 to ``final`` along half a cosine, "steps" multiplies by ``gamma`` at each milestone,
            "constant" stays at 1; each after the warm-up.
        warmup: images over which the factor rises linearly from 0.
        final: factor at the end of a cosine.
        milestones: image counts at which the factor is multiplied by ``gamma``.
    """

    kind: Literal["cosine", "steps", "constant"] = "cosine"
    warmup: NonNegativeFloat = 2000
    final: NonNegativeFloat = 0.01
    milestones: tuple[PositiveInt, ...] = ()
    gamma: PositiveFloat = 0.5

    def factor(self, images: int, batch: int, length: int) -> float:
        """Factor for the step that begins after ``images`` of ``length``."""
        if images < self.warmup:
            return (images + batch) / (self.warmup + batch)
        if self.kind == "constant":
            return 1.0
        if self.kind == "steps":
            return self.gamma ** sum(images >= milestone for milestone in self.milestones)
        progress = min((images - self.warmup) / max(length - self.warmup, 1), 1)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


class BestConfig(Strict):
    """The validation metric by which the best weights are kept; ``better`` None: in the direction of the metric."""

    metric: str
    better: Literal["higher", "lower"] | None = None


class TrainingConfig(Strict):
    """Length, optimizers and precision. All counts are in images, so that they mean the same for any batch size.

    Attributes:
        images: length of the run.
        batch: images in a step, over all processes.
        accumulate: micro-batches that a process's part of a step is computed in, one after the other; saves memory.
        optimizer, optimizers: of every network; name of a network -> its own.
        schedule: of all learning rates.
        clip: largest norm of a network's gradient; larger ones are scaled down.
        ema: half-life of the averaged weights, in images (Karras et al. 2020, arXiv 1912.04958).
        precision: of the forward pass; losses and weights stay float32. "float16" scales the losses.
        compile: pass the first network through ``torch.compile``; not the discriminators: R1 differentiates them twice.
        weights: number format of the weight file; the training state stays float32.
        workers: processes that prepare samples.
        validate_every, save_every: images between validations and between saved states.
        best: keep the weights of the best validation as well.
        tensorboard: also log for TensorBoard (needs the ``train`` extra).
    """

    images: PositiveInt
    batch: PositiveInt = 16
    accumulate: PositiveInt = 1
    optimizer: OptimizerConfig = OptimizerConfig()
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict)
    schedule: ScheduleConfig = ScheduleConfig()
    clip: PositiveFloat = 1.0
    ema: PositiveFloat = 5000
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False
    weights: Literal["float32", "float16", "int8"] = "float32"
    workers: NonNegativeInt = 1
    validate_every: PositiveInt = 10000
    save_every: PositiveInt = 5000
    best: BestConfig | None = None
    tensorboard: bool = False

    def optimizer_of(self, network: str) -> OptimizerConfig:
        """The settings of the optimizer of the network of that name."""
        return self.optimizers.get(network, self.optimizer)


def to_json(settings: BaseModel) -> dict[str, Any]:
    """Settings as JSON values, for headers and logs."""
    return settings.model_dump(mode="json")


def weights_file(path: Path) -> Path:
    """The file that a setting for weights means: that of a name of ``revisage models``, or ``path`` itself."""
    return path_of(str(path)) if str(path) in MODELS and not path.exists() else path


def read_file(read: Callable[[Path], Content], path: Path, setting: str) -> Content:
    """What ``read`` makes of the file of a setting, "task.losses.identity.file" say.

    RecipeError: there is no such file, or it holds other weights.
    """
    try:
        return read(weights_file(path))
    except WeightsError as error:
        raise RecipeError(f"{setting}: {error}") from error
