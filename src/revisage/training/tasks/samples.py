"""Images of trainings: whole faces to train on, pairs to validate on, and grids to look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.utils.data import Dataset

from revisage.errors import ImageError, InputError, RecipeError
from revisage.evaluation.evaluator import Evaluator
from revisage.evaluation.metrics import SPECS, Metrics, Sources, mean_metrics
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.metrics.networks import image_batch
from revisage.evaluation.pairs import Sample, find_pairs, read_sample, resize, to_uint8
from revisage.images.pixels import from_float, from_nchw
from revisage.training.checks import Problems
from revisage.training.config import Strict, weights_file
from revisage.training.data.components import ExtendedAugmentation, check_components, read_components
from revisage.training.data.datasets import FFHQDegradationDataset
from revisage.training.data.degradations.published import FFHQDegradation
from revisage.training.data.degradations.recipes import DegradationSettings
from revisage.training.data.degradations.steps import Probability, to_gray
from revisage.training.data.pairs import PairsSource
from revisage.training.data.sources import Names, open_source
from revisage.training.distributed import World
from revisage.training.task import ValidationResult
from revisage.training.tasks.networks import image_and_pyramid
from revisage.types import FloatImage, Image


def no_degradation_of_pairs(values: object, none: Sequence[object]) -> object:
    """Settings of samples: pairs are degraded no further unless these say so; ``none`` is how they say that."""
    if isinstance(values, Mapping) and values.get("pairs") is not None and "degradation" not in values:
        return {**values, "degradation": none}
    return values


class FacesConfig(Strict):
    """Faces as they are.

    Attributes:
        source: where they lie, see ``Names``.
        augmentation: None: half of the faces are mirrored.
        gray: how often a face becomes gray.
    """

    source: Names
    augmentation: ExtendedAugmentation | None = None
    gray: Probability = 0.0

    def build(self, size: int, seed: int) -> Dataset[Any]:
        return FFHQDegradationDataset(
            open_source(self.source),
            size=size,
            degradation=_Undamaged(self.gray),
            augmentation=self.augmentation,
            seed=seed,
        )


class DegradedFacesConfig(Strict):
    """Faces and what became of them.

    Attributes:
        source: where they lie, see ``Names``; or else:
        pairs: degraded faces with their originals.
        landmarks: classic file of the places of eyes and mouth; None: samples have no boxes of them.
        eye_enlarge_ratio: of the eyes' boxes.
        augmentation: of the original, before it is degraded; None: half of the faces are mirrored.
        degradation: (:mod:`revisage.training.data.degradations.recipes`) GFP-GAN's if none is given; none for pairs,
            whose degraded images it makes worse.
    """

    source: Names | None = None
    pairs: PairsSource | None = None
    landmarks: Path | None = None
    eye_enlarge_ratio: PositiveFloat = 1.4
    augmentation: ExtendedAugmentation | None = None
    degradation: DegradationSettings = FFHQDegradation()

    @model_validator(mode="before")
    @classmethod
    def _undegraded(cls, values: object) -> object:
        return no_degradation_of_pairs(values, [])

    @model_validator(mode="after")
    def _consistent(self) -> DegradedFacesConfig:
        if (self.source is None) == (self.pairs is None):
            raise ValueError("give either source or pairs")
        return self

    def build(self, size: int, seed: int) -> Dataset[Any]:
        source = self.pairs.open() if self.pairs else open_source(self.source or ())
        landmarks = read_components(self.landmarks) if self.landmarks else None
        if landmarks is not None:
            check_components(landmarks, source.names)
        return FFHQDegradationDataset(
            source,
            size=size,
            degradation=self.degradation,
            augmentation=self.augmentation,
            landmarks=landmarks,
            eye_enlarge_ratio=self.eye_enlarge_ratio,
            seed=seed,
        )


@dataclass(frozen=True)
class _Undamaged:
    """A degradation that does no damage."""

    gray: float

    def __call__(self, gt: FloatImage, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        if rng.random() < self.gray:
            gt = to_gray(gt)
        return gt, gt


SHOWN = 2
"""Images of each validation set on the grid."""


class PairsConfig(Strict):
    """Images to validate on: folders of aligned originals and of degraded ones, equal stems."""

    gt: Path
    lq: Path
    limit: PositiveInt = 16


class MetricsConfig(Strict):
    """Files of the metrics that need one; a metric without its file is not taken. See :class:`Sources`."""

    features: Path | None = None
    channel_weights: Path | None = None
    descriptor: Path | None = None
    arcface: Path | None = None
    niqe: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> MetricsConfig:
        if self.channel_weights and not self.features:
            raise ValueError("channel_weights are of the features of VGG16: give features as well")
        return self


def paired_metrics(sets: Mapping[str, PairsConfig], metrics: MetricsConfig) -> dict[str, str]:
    """Metrics of a :class:`PairedValidation`: name -> the better direction."""
    given = {name for name, path in metrics if path}
    specs = [spec for spec in SPECS if given >= set(spec.needs)]
    return {f"{name}/{prefix}{spec.name}": spec.better for name in sets for prefix in ("", "input_") for spec in specs}


class PairedValidation:
    """Named sets of (lq, gt) and the evaluator of their metrics, read and tried once before the first step.

    ``missing`` names settings whose files are missing (RecipeError: what else of pairs and metrics cannot be used).
    """

    def __init__(
        self, sets: Mapping[str, PairsConfig], size: int, metrics: MetricsConfig, missing: Collection[str] = ()
    ) -> None:
        self._sets = sets
        self._size = size
        self._inputs: dict[tuple[str, str], Metrics] = {}
        with Problems(missing) as problems:
            found = [
                problems.attempt(lambda name=name: read_samples(sets[name], size, name), f"task.validation.{name}")
                for name in sets
            ]
            self._samples = [sample for samples in found for sample in samples or ()]
            files: dict[str, Any] = {
                name: path and weights_file(path) for name, path in metrics if f"task.metrics.{name}" not in missing
            }
            self._sources = Sources(**files)
            for needs in dict.fromkeys(spec.needs for spec in SPECS) if sets else ():
                names = [spec.name for spec in SPECS if spec.needs == needs]
                if not any(getattr(self._sources, need) is None for need in needs):
                    problems.attempt(lambda names=names: self._try(names))
        self._evaluator: Evaluator | None = None

    def _try(self, names: Sequence[str]) -> None:
        """Take metrics of one image (InputError, WeightsError: they cannot be)."""
        evaluator = Evaluator(self._sources, names)
        if self._samples:
            gt = self._samples[0].gt
            evaluator.compare([gt], [gt], [f"validation: {self._samples[0].pair.gt}"])

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """All metrics of every set, and the input's; each process takes a share, all get the whole."""
        network.eval()
        device = next(network.parameters()).device
        if self._evaluator is None:
            batch = 1 if device.type == "cpu" else 8  # on a CPU batches only cost memory
            self._evaluator = Evaluator(self._sources, device=device, batch=batch)
        samples = [self._samples[index] for index in world.shard(len(self._samples))]
        scores: list[tuple[str, Metrics]] = []
        shown: dict[str, list[RGB8]] = {}
        for row in self._evaluator.evaluate(samples, partial(restore, network, self._size), self._inputs):
            inputs = {f"input_{key}": value for key, value in (row.input or {}).items()}
            scores.append((row.pair.set, row.restored | inputs))
            rows = shown.setdefault(row.pair.set, [])
            if len(rows) < SHOWN:
                rows.append(np.hstack([image for image in row.images if image is not None]))
        scores = world.gather(scores)
        metrics = {
            f"{name}/{key}": value
            for name in self._sets
            for key, value in mean_metrics([score for set_, score in scores if set_ == name])[0].items()
        }
        rows = [row for rows in shown.values() for row in rows]
        return ValidationResult(metrics, np.vstack(rows) if rows else None)


def restore(network: nn.Module, size: int, lq: Sequence[Image]) -> list[RGB8]:
    """Aligned faces, resized to ``size``, through the network: N of (size, size, 3)."""
    restored, _ = image_and_pyramid(network(image_batch([resize(image, size, size) for image in lq], network)))
    return [to_uint8(image) for image in to_images(restored)]


def read_samples(pairs: PairsConfig, size: int, name: str = "") -> list[Sample]:
    """The samples of a set, originals at ``size``; see :func:`revisage.evaluation.pairs.find_pairs`.

    RecipeError: a folder is missing, an image has no partner or cannot be read, or an original is not square.
    """
    setting = f"task.validation.{name}" if name else "task.validation"
    try:
        found = find_pairs(pairs.gt, pairs.lq, limit=pairs.limit)
        samples = [read_sample(replace(pair, set=name), size) for pair in found]
    except (InputError, ImageError) as error:
        raise RecipeError(f"{setting}: {error}") from error
    for sample in samples:
        if sample.gt.shape[0] != sample.gt.shape[1]:
            raise RecipeError(f"{setting}: {sample.pair.gt} is not a square image")
    return samples


def read_pairs(pairs: PairsConfig, size: int, name: str = "") -> list[tuple[RGB8, RGB8]]:
    """(lq, gt) as (size, size, 3) uint8; smaller images are enlarged bilinearly, larger ones shrunk by area."""
    samples = read_samples(pairs, size, name)
    return [(resize(sample.lq, size, size), sample.gt) for sample in samples if sample.lq is not None]


def to_images(batch: Tensor) -> list[FloatImage]:
    """(N, 3, H, W) in [-1, 1] of any precision, on any device -> N float32 images (H, W, 3), clipped to [0, 1]."""
    return from_nchw(batch.detach().float().cpu().numpy())


def image_grid(*rows: Tensor) -> RGB8:
    """Batches (N, 3, S, S) in [-1, 1], all of the same shape -> (rows * S, N * S, 3) uint8 RGB."""
    lines = [np.hstack([np.asarray(from_float(image, np.uint8)) for image in to_images(row)]) for row in rows]
    return np.asarray(np.vstack(lines), np.uint8)
