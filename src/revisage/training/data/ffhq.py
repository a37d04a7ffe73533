"""Whole aligned faces with their eyes and mouths, as GFP-GAN and RestoreFormer are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from revisage.images.pixels import to_float
from revisage.training.data.augmentation import Augmentation, Mirror
from revisage.training.data.components import PUBLISHED_SIZE, Components, boxes_of, find
from revisage.training.data.crops import chw, permuted, resized
from revisage.training.data.degradations.ffhq_degradation import FFHQOptions
from revisage.training.data.degradations.step import Degradation
from revisage.training.data.sources import Source


class FaceSample(TypedDict):
    """One training sample.

    Keys:
        lq, gt: (3, S, S) float32 RGB in [-1, 1].
        detail: () float32, 1 if ``gt`` has real detail at this size, 0 if it was enlarged.
        left_eye, right_eye, mouth: (4,) float32 x1, y1, x2, y2 in pixels of ``gt``; only where landmarks were given.
    """

    lq: torch.Tensor
    gt: torch.Tensor
    detail: torch.Tensor
    left_eye: NotRequired[torch.Tensor]
    right_eye: NotRequired[torch.Tensor]
    mouth: NotRequired[torch.Tensor]


class FFHQDegradationDataset(Dataset[FaceSample]):
    """Endless degraded faces; sample ``index`` depends on (seed, index) and on nothing else.

    Each pass over the source, an epoch, has an order of its own: index = epoch * len(source) + place in that order.

    Args:
        source: aligned square faces, sorted by name.
        size: side of a sample; other faces are resized.
        degradation: makes (lq, gt).
        augmentation: what is done to the original before.
        landmarks: key -> (3, 3) in pixels of 512, see :mod:`.components`; None: samples have no boxes.
        eye_enlarge_ratio: of the eyes' boxes.
        seed: of everything random.

    Raises:
        RecipeError: (of a sample) its picture has no entry in ``landmarks``.
    """

    def __init__(
        self,
        source: Source,
        *,
        size: int = 512,
        degradation: Degradation | None = None,
        augmentation: Augmentation | None = None,
        landmarks: Mapping[str, Components] | None = None,
        eye_enlarge_ratio: float = 1.4,
        seed: int,
    ) -> None:
        self.source = source
        self.size = size
        self.degradation = degradation or FFHQOptions()
        self.augmentation = augmentation or Mirror()
        self.landmarks = landmarks
        self.eye_enlarge_ratio = eye_enlarge_ratio
        self.seed = seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> FaceSample:
        rng = np.random.default_rng((self.seed, 1, index))
        place = permuted(index, len(self.source), self.seed)
        crop = self.source[place]
        components = None
        if self.landmarks is not None:
            components = find(self.landmarks, crop.name, place) * (self.size / PUBLISHED_SIZE)
        gt, components = self.augmentation(resized(to_float(crop.pixels), self.size), components, rng)
        lq, gt = self.degradation(gt, rng)
        detail = torch.tensor(float(crop.pixels.shape[0] >= self.size))
        if components is None:
            return {"lq": chw(lq), "gt": chw(gt), "detail": detail}
        left_eye, right_eye, mouth = torch.from_numpy(boxes_of(components, self.eye_enlarge_ratio))
        return {
            "lq": chw(lq),
            "gt": chw(gt),
            "detail": detail,
            "left_eye": left_eye,
            "right_eye": right_eye,
            "mouth": mouth,
        }
