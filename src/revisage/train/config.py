"""What a recipe may say: strict, typed settings. An unknown key is an error that names the nearest known ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator


class Strict(BaseModel):
    """Base of all settings: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: object) -> object:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, cutoff=0.5)
                    known = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key {key!r}; {known}")
        return values


class Training(Strict):
    """How long and how fast to learn. All counts are in images, so that they mean the same for any batch size.

    Attributes:
        images: length of the run.
        batch: images in a step.
        learning_rate: of AdamW, after the warm-up; falls along a cosine to ``final_rate`` times this.
        betas, weight_decay: of AdamW.
        warmup: images over which the rate rises linearly from 0.
        final_rate: fraction of the learning rate at the end.
        clip: largest norm of the gradient; larger ones are scaled down.
        ema: half-life of the averaged weights, in images (Karras et al. 2020, arXiv 1912.04958).
        precision: of the forward pass; losses and weights stay float32.
        weights: number format of the weight file; the state to resume from stays float32.
        workers: processes that prepare samples.
        validate_every, save_every: images between examinations and between saved states.
    """

    images: PositiveInt
    batch: PositiveInt = 16
    learning_rate: PositiveFloat = 5e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: NonNegativeFloat = 0.0
    warmup: NonNegativeFloat = 2000
    final_rate: NonNegativeFloat = 0.01
    clip: PositiveFloat = 1.0
    ema: PositiveFloat = 5000
    precision: Literal["float32", "bfloat16"] = "float32"
    weights: Literal["float32", "float16"] = "float32"
    workers: int = 1
    validate_every: PositiveInt = 10000
    save_every: PositiveInt = 5000


def as_json(settings: BaseModel) -> dict[str, Any]:
    """Settings as JSON values, for headers and logs."""
    return settings.model_dump(mode="json")
