"""ValidationResult of a restorer on pairs of degraded and original faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from pydantic import PositiveInt
from torch import nn

from revisage.errors import RecipeError
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.metrics.scores import Scorer, Sources, means
from revisage.images.pixels import from_float, from_tensor, to_float, to_tensor
from revisage.training.config import Strict
from revisage.training.data.crops import read_crops
from revisage.training.distributed import World
from revisage.training.task import ValidationResult
from revisage.training.tasks.networks import image_and_pyramid

SHOWN = 2
"""Pairs of each set on the sheet."""


class PairsConfig(Strict):
    """LossInputs to examine on: folders of aligned originals and of degraded ones, equal stems."""

    gt: Path
    lq: Path
    limit: PositiveInt = 16


class MetricsConfig(Strict):
    """Files of the figures that need one; without its file a figure is not taken. See :class:`Sources`."""

    features: Path | None = None
    channel_weights: Path | None = None
    descriptor: Path | None = None
    arcface: Path | None = None
    niqe: Path | None = None


class Pairs:
    """Named sets of (lq, gt), decoded at the first examination and kept for the others."""

    def __init__(self, sets: Mapping[str, PairsConfig], size: int, metrics: MetricsConfig) -> None:
        self._sets = sets
        self._size = size
        self._metrics = metrics

    @cached_property
    def _items(self) -> list[tuple[str, RGB8, RGB8]]:
        return [(name, lq, gt) for name, pairs in self._sets.items() for lq, gt in read_pairs(pairs, self._size)]

    @cached_property
    def _score(self) -> Scorer:
        return Scorer(Sources(**dict(self._metrics)))

    @cached_property
    def _inputs(self) -> dict[int, dict[str, float]]:
        """Figures of the inputs, by place; they never change."""
        return {}

    @torch.inference_mode()
    def examine(self, network: nn.Module, world: World) -> ValidationResult:
        """All figures of every set, and the input's; each process takes a share, all get the whole."""
        network.eval()
        scores: list[dict[str, float]] = []
        shown: dict[str, list[RGB8]] = {}
        for place in world.shard(len(self._items)):
            name, lq, gt = self._items[place]
            restored = restore(network, lq)
            if place not in self._inputs:
                self._inputs[place] = {f"{name}/input_{key}": value for key, value in self._score(lq, gt).items()}
            figures = {f"{name}/{key}": value for key, value in self._score(restored, gt).items()}
            scores.append(figures | self._inputs[place])
            rows = shown.setdefault(name, [])
            if len(rows) < SHOWN:
                rows.append(np.hstack([lq, restored, gt]))
        rows = [row for rows in shown.values() for row in rows]
        return ValidationResult(_means(world.gather(scores)), np.vstack(rows) if rows else None)


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every figure over those pictures that have it; sets come one after the other."""
    sets: dict[tuple[str, ...], list[Mapping[str, float]]] = {}
    for score in scores:
        sets.setdefault(tuple(score), []).append(score)
    found: dict[str, float] = {}
    for rows in sets.values():
        found |= means(rows)[0]
    return found


def restore(network: nn.Module, lq: RGB8) -> RGB8:
    """One aligned face (S, S, 3) through the network."""
    picture, _ = image_and_pyramid(network(to_tensor([to_float(lq)]).to(next(network.parameters()).device)))
    return np.asarray(from_float(from_tensor(picture.cpu())[0], np.uint8), np.uint8)


def read_pairs(pairs: PairsConfig, size: int) -> Sequence[tuple[RGB8, RGB8]]:
    """(lq, gt) as (size, size, 3) uint8; smaller pictures are enlarged bilinearly, larger ones shrunk by area.

    Raises:
        RecipeError: a folder is missing, or an original has no partner.
    """
    originals = {crop.name: crop for crop in read_crops([pairs.gt])}
    degraded = {crop.name: crop for crop in read_crops([pairs.lq])}
    missing = sorted(originals.keys() - degraded.keys())
    if missing:
        raise RecipeError(f"{pairs.lq} has no partner for {missing[0]} and {len(missing) - 1} more")
    names = sorted(originals)[:: max(len(originals) // pairs.limit, 1)][: pairs.limit]
    return [(_resized(degraded[name].pixels, size), _resized(originals[name].pixels, size)) for name in names]


def _resized(pixels: RGB8, size: int) -> RGB8:
    method = cv2.INTER_LINEAR if pixels.shape[0] <= size else cv2.INTER_AREA
    picture = cv2.resize(pixels.astype(np.float32), (size, size), interpolation=method)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
