"""Datasets of (lq, gt): patches of aligned faces, and whole faces. Samples are pure functions of (seed, index)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from typing import NotRequired, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from revisage.images.pixels import to_float
from revisage.training.data.components import (
    PUBLISHED_SIZE,
    Augmentation,
    Components,
    Mirror,
    find_components,
    to_boxes,
)
from revisage.training.data.crops import Crop
from revisage.training.data.degradations.published import FFHQDegradation
from revisage.training.data.degradations.steps import Degradation
from revisage.training.data.pairs import degrade_pair
from revisage.training.data.sources import Source
from revisage.types import FloatImage

FACE_POSITION = 0.85, 0.525
"""Top and left of a patch over the face, as fractions of the room that they have."""


class CropSample(TypedDict):
    """A patch: ``lq``, ``gt`` (3, P, P) float32 RGB in [-1, 1]; ``lq`` may be (3, S, S), of the whole face.

    ``detail`` () is 1 if ``gt`` has real detail at this size, 0 if it was enlarged from half of it; ``corner`` (2,) is
    left and top of the patch in the whole face, in pixels.
    """

    lq: torch.Tensor
    gt: torch.Tensor
    detail: torch.Tensor
    corner: torch.Tensor


class FaceSample(TypedDict):
    """A whole face: ``lq``, ``gt`` (3, S, S) float32 RGB in [-1, 1]; ``detail`` as of a :class:`CropSample`.

    ``left_eye``, ``right_eye``, ``mouth``, only where landmarks were given: (4,) x1, y1, x2, y2 in pixels of ``gt``.
    """

    lq: torch.Tensor
    gt: torch.Tensor
    detail: torch.Tensor
    left_eye: NotRequired[torch.Tensor]
    right_eye: NotRequired[torch.Tensor]
    mouth: NotRequired[torch.Tensor]


@dataclass(frozen=True, eq=False)
class CropPatches(Dataset[CropSample]):
    """Endless random patches of degraded crops.

    Patches are cut before the degradation: pixels outside hardly matter, and the cost is that of a patch. Crops smaller
    than ``size`` are enlarged; their samples are marked as lacking detail.

    Attributes:
        crops: aligned square faces, or pairs.
        size: of a restored face in pixels.
        patch: size of a sample, at most ``size``.
        degradation: makes (lq, gt) from an image, and the degraded image of a pair worse.
        seed: of everything random.
        p_face_patch: probability that a patch lies over the face; the others lie anywhere.
        whole: ``lq`` is all of the face, though ``gt`` is a patch.
        oversample: patches are degraded at this many times their size and then averaged; for a network that works on
            reduced images.
    """

    crops: Source | Sequence[Crop]
    _: KW_ONLY
    size: int
    patch: int
    degradation: Degradation
    seed: int
    p_face_patch: float = 0.0
    whole: bool = False
    oversample: int = 1

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> CropSample:
        rng = np.random.default_rng((self.seed, 1, index))
        crop = self.crops[shuffled_index(index, len(self.crops), self.seed)]
        side = len(crop.pixels)
        mirrored, left, top, cut = self._draw_patch(side, rng)
        ratio = self.size / side
        size = self.size if self.whole else self.patch
        rows, columns = (slice(None),) * 2 if self.whole else (slice(top, top + cut), slice(left, left + cut))

        def part(pixels: NDArray[np.uint8]) -> FloatImage:
            cut_out = (pixels[:, ::-1] if mirrored else pixels)[rows, columns]
            return resize_crop(to_float(np.ascontiguousarray(cut_out)), size * self.oversample)

        gt = part(crop.pixels)
        pair = self.degradation(gt, rng) if crop.lq is None else degrade_pair(part(crop.lq), gt, self.degradation, rng)
        lq, gt = (resize_crop(image, size) for image in pair)
        corner = left * ratio, top * ratio
        if self.whole:
            corner = tuple(min(round(value), self.size - self.patch) for value in corner)
            gt = gt[corner[1] : corner[1] + self.patch, corner[0] : corner[0] + self.patch]
        return {
            "lq": to_chw_tensor(lq),
            "gt": to_chw_tensor(gt),
            "detail": torch.tensor(float(crop.pixels.shape[0] >= self.size)),
            "corner": torch.tensor(corner, dtype=torch.float32),
        }

    def _draw_patch(self, side: int, rng: np.random.Generator) -> tuple[bool, int, int, int]:
        """Whether the crop is mirrored, and a patch of it then, in its own pixels: left, top, size."""
        cut = round(self.patch * side / self.size)
        top, left = (int(value) for value in rng.integers(0, side - cut + 1, size=2))
        mirrored = rng.random() < 0.5
        if self.p_face_patch and rng.random() < self.p_face_patch:
            top, left = (round(fraction * (side - cut)) for fraction in FACE_POSITION)
        elif mirrored:
            left = side - cut - left
        return mirrored, left, top, cut


@dataclass(frozen=True, eq=False)
class FFHQDegradationDataset(Dataset[FaceSample]):
    """Endless degraded whole faces, as GFP-GAN and RestoreFormer are trained on.

    Each pass over the source, an epoch, has an order of its own: index = epoch * len(source) + position in that order.

    Attributes:
        source: aligned square faces, sorted by name, or pairs.
        size: of a sample; other faces are resized.
        degradation: makes (lq, gt), and the degraded image of a pair worse.
        augmentation: of the original, before it is degraded; None: ``Mirror``.
        landmarks: key -> (3, 3) in pixels of 512, see :mod:`.components`; None: samples have no boxes.
        eye_enlarge_ratio: of the eyes' boxes.
        seed: of everything random.
    """

    source: Source
    _: KW_ONLY
    size: int = 512
    degradation: Degradation = field(default_factory=FFHQDegradation)
    augmentation: Augmentation | None = None
    landmarks: Mapping[str, Components] | None = None
    eye_enlarge_ratio: float = 1.4
    seed: int

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> FaceSample:
        rng = np.random.default_rng((self.seed, 1, index))
        position = shuffled_index(index, len(self.source), self.seed)
        crop = self.source[position]
        components = None
        if self.landmarks is not None:
            components = find_components(self.landmarks, crop.key, position) * (self.size / PUBLISHED_SIZE)
        same = rng if crop.lq is None else copy.deepcopy(rng)  # a degraded partner is mirrored and shifted alike
        augment = self.augmentation or Mirror()
        gt, components = augment(resize_crop(to_float(crop.pixels), self.size), components, rng)
        if crop.lq is None:
            lq, gt = self.degradation(gt, rng)
        else:
            lq, _ = augment(resize_crop(to_float(crop.lq), self.size), None, same)
            lq, gt = degrade_pair(lq, gt, self.degradation, rng)
        detail = torch.tensor(float(crop.pixels.shape[0] >= self.size))
        sample: FaceSample = {"lq": to_chw_tensor(lq), "gt": to_chw_tensor(gt), "detail": detail}
        if components is not None:
            boxes = torch.from_numpy(to_boxes(components, self.eye_enlarge_ratio))
            sample["left_eye"], sample["right_eye"], sample["mouth"] = boxes
        return sample


def shuffled_index(index: int, length: int, seed: int) -> int:
    """The item at position ``index`` of an endless pass over ``length`` items, shuffled anew in each epoch."""
    epoch, position = divmod(index, length)
    return int(_order(length, seed, epoch)[position])


@lru_cache(maxsize=2)  # a batch may reach into the next epoch
def _order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(length)


def resize_crop(crop: FloatImage, size: int) -> FloatImage:
    """Resize a square crop to (size, size, 3): bicubic if it grows, averaged over areas if it shrinks."""
    if len(crop) == size:
        return crop
    method = cv2.INTER_CUBIC if len(crop) < size else cv2.INTER_AREA
    return np.clip(cv2.resize(crop, (size, size), interpolation=method), 0, 1, dtype=np.float32)


def to_chw_tensor(image: FloatImage) -> torch.Tensor:
    """(H, W, 3) in [0, 1] -> (3, H, W) in [-1, 1]."""
    planes = np.empty((3, *image.shape[:2]), np.float32)
    cv2.split(image, [planes[0], planes[1], planes[2]])
    return torch.add(torch.tensor(-1.0), torch.from_numpy(planes), alpha=2)
