"""The faces that whole-face trainings are shown: where they come from, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveFloat
from torch.utils.data import Dataset

from revisage.training.config import Strict
from revisage.training.data.components import ExtendedAugmentation, read_components
from revisage.training.data.datasets import FFHQDegradationDataset
from revisage.training.data.degradations.published import FFHQDegradation
from revisage.training.data.degradations.recipes import DegradationSettings
from revisage.training.data.degradations.steps import Probability, to_gray
from revisage.training.data.sources import open_source
from revisage.types import FloatImage

Names = str | tuple[str, ...]
"""Folders, files or patterns of aligned square images; ``.lmdb`` folders; ``.tar`` shards, paths or URLs."""


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
    degradation: DegradationSettings = FFHQDegradation()

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
