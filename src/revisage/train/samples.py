"""The faces that whole-face trainings are shown: where they come from, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveFloat, model_validator
from torch.utils.data import Dataset

from revisage.data.augmentation import ExtendedAugmentation
from revisage.data.colour import to_gray
from revisage.data.components import read_components
from revisage.data.extended_degradation import UnevenDegradation
from revisage.data.ffhq import FFHQDegradationDataset
from revisage.data.ffhq_degradation import FFHQOptions
from revisage.data.lmdb_source import LmdbSource
from revisage.data.sources import FolderSource, Source
from revisage.data.step import Degradation, Probability
from revisage.data.tar_source import TarSource
from revisage.train.config import Strict
from revisage.types import FloatImage

Names = str | tuple[str, ...]
"""Folders of aligned square pictures; or one ``.lmdb``; or ``.tar`` shards, paths or URLs."""


def open_source(names: Names) -> Source:
    """Faces from wherever they lie (RecipeError: they cannot be read)."""
    places = (names,) if isinstance(names, str) else names
    if all(place.endswith(".tar") for place in places):
        return TarSource(places)
    if len(places) == 1 and places[0].rstrip("/").endswith(".lmdb"):
        return LmdbSource(Path(places[0]))
    return FolderSource([Path(place) for place in places])


class OriginalsConfig(Strict):
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
        """Samples of side ``size`` by image count (RecipeError if something is missing)."""
        return FFHQDegradationDataset(
            open_source(self.source),
            size=size,
            degradation=_Undamaged(self.gray),
            augmentation=self.augmentation,
            seed=seed,
        )


class DegradationChoice(Strict):
    """One of the published degradations; the defaults of each are the published values.

    Attributes:
        ffhq: GFP-GAN's.
        extended: RestoreFormer++'s.
    """

    ffhq: FFHQOptions | None = None
    extended: UnevenDegradation | None = None

    @model_validator(mode="after")
    def _one(self) -> DegradationChoice:
        if (self.ffhq is None) == (self.extended is None):
            raise ValueError("choose one of ffhq and extended, say {ffhq: {}}")
        return self

    def build(self) -> Degradation | None:
        """The degradation as a function."""
        return self.ffhq or self.extended


class DegradedConfig(Strict):
    """Faces and what became of them.

    Attributes:
        source: where they lie, see ``Names``.
        landmarks: classic file of the places of eyes and mouth; None: samples have no boxes of them.
        eye_enlarge_ratio: of the eyes' boxes.
        augmentation: of the original, before it is degraded; None: half of the faces are mirrored.
        degradation: of what the network is shown.
    """

    source: Names
    landmarks: Path | None = None
    eye_enlarge_ratio: PositiveFloat = 1.4
    augmentation: ExtendedAugmentation | None = None
    degradation: DegradationChoice = DegradationChoice(ffhq=FFHQOptions())

    def build(self, size: int, seed: int) -> Dataset[Any]:
        """Samples of side ``size`` by image count (RecipeError if something is missing)."""
        return FFHQDegradationDataset(
            open_source(self.source),
            size=size,
            degradation=self.degradation.build(),
            augmentation=self.augmentation,
            landmarks=read_components(self.landmarks) if self.landmarks else None,
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
