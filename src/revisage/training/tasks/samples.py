"""The faces that whole-face trainings are shown: where they come from, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveFloat
from torch.utils.data import Dataset

from revisage.training.config import Strict
from revisage.training.data.augmentation import ExtendedAugmentation
from revisage.training.data.components import read_components
from revisage.training.data.degradations.colour import to_gray
from revisage.training.data.degradations.ffhq_degradation import FFHQOptions
from revisage.training.data.degradations.recipes import DegradationSettings
from revisage.training.data.degradations.step import Probability
from revisage.training.data.ffhq import FFHQDegradationDataset
from revisage.training.data.lmdb_source import LmdbSource
from revisage.training.data.sources import FolderSource, Source
from revisage.training.data.tar_source import TarSource
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
        """Samples of side ``size`` by image count (RecipeError if something is missing)."""
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
        source: where they lie, see ``Names``.
        landmarks: classic file of the places of eyes and mouth; None: samples have no boxes of them.
        eye_enlarge_ratio: of the eyes' boxes.
        augmentation: of the original, before it is degraded; None: half of the faces are mirrored.
        degradation: of the network's input (:mod:`revisage.training.data.degradations.recipes`); GFP-GAN's if none is
            given.
    """

    source: Names
    landmarks: Path | None = None
    eye_enlarge_ratio: PositiveFloat = 1.4
    augmentation: ExtendedAugmentation | None = None
    degradation: DegradationSettings = FFHQOptions()

    def build(self, size: int, seed: int) -> Dataset[Any]:
        """Samples of side ``size`` by image count (RecipeError if something is missing)."""
        return FFHQDegradationDataset(
            open_source(self.source),
            size=size,
            degradation=self.degradation,
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
