"""NIQE, the natural image quality evaluator (Mittal, Soundararajan, Bovik 2013, IEEE SPL 20(3)).

How far the statistics of an image's blocks lie from those of good photographs. No original is needed. Lower is better;
clean photographs have about 3 to 5. Sharp noise can score low as well: read it beside other metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, InputError
from revisage.evaluation.arrays import read_arrays
from revisage.evaluation.metrics.image import RGB8, studio_luma
from revisage.files import atomic_write

Floats = NDArray[np.float64]

BLOCK = 96
"""Size in pixels of the blocks that an image is cut into; half of it at the second scale."""
FEATURES = 36
"""Numbers that describe a block: 18 at each of two scales."""
NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Right, below, and the diagonals: (rows, columns) to the pixel that each is multiplied with."""


@dataclass(frozen=True, eq=False)
class NaturalModel:
    """Statistics of the blocks of good photographs.

    Attributes:
        mean: (36,) of the blocks' features.
        covariance: (36, 36).
        window: (7, 7) weights of the local mean and deviation, sum 1.
    """

    mean: Floats
    covariance: Floats
    window: Floats


def niqe(image: RGB8, model: NaturalModel) -> float:
    """Distance of the statistics of an image (H, W, 3) from the model's: equation 10, with the pseudo-inverse.

    The rest beyond whole blocks is left out; nan if fewer than two blocks have any structure (ValueError: the image is
    smaller than 96 x 96).
    """
    features, _ = block_features(image, model.window)
    sound = features[~np.isnan(features).any(axis=1)]
    if len(sound) < 2:
        return math.nan
    difference = model.mean - np.nanmean(features, axis=0)
    pooled = (model.covariance + np.cov(sound, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def fit(images: Iterable[RGB8], *, sharpness: float = 0.75) -> NaturalModel:
    """Learn the statistics of good photographs, sharp and without artefacts, the paper's section II.C.

    Blocks count whose mean local deviation exceeds the share ``sharpness`` of the largest in their image. The paper
    took 125 images (InputError: fewer than 37 blocks count; their covariance would say nothing).
    """
    taps = np.asarray(cv2.getGaussianKernel(7, 7 / 6), np.float64)
    window = taps @ taps.T
    chosen: list[Floats] = []
    for image in images:
        features, deviation = block_features(image, window)
        chosen.append(features[deviation > sharpness * deviation.max()])
    rows = np.concatenate(chosen) if chosen else np.zeros((0, FEATURES))
    rows = rows[~np.isnan(rows).any(axis=1)]
    if len(rows) <= FEATURES:
        raise InputError(f"{len(rows)} sharp blocks are too few to learn from; at least {FEATURES + 1} are needed")
    return NaturalModel(rows.mean(axis=0), np.cov(rows, rowvar=False), window)


def read_model(path: Path) -> NaturalModel:
    """Read a model from an ``.npz`` file as BasicSR ships it: mu_pris_param, cov_pris_param, gaussian_window.

    MissingWeightsError: there is no such file. CheckpointError: it holds something else.
    """
    arrays = read_arrays(path)
    try:
        names = "mu_pris_param", "cov_pris_param", "gaussian_window"
        mean, covariance, window = (np.asarray(arrays[name], np.float64) for name in names)
        return NaturalModel(mean.reshape(FEATURES), covariance.reshape(FEATURES, FEATURES), window.reshape(7, 7))
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} does not hold NIQE parameters: {error}") from error


def write_model(path: Path, model: NaturalModel) -> None:
    """Write a model, atomically, in the form that :func:`read_model` reads."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        mean = model.mean[None]
        np.savez(file, mu_pris_param=mean, cov_pris_param=model.covariance, gaussian_window=model.window)


def block_features(image: RGB8, window: Floats) -> tuple[Floats, Floats]:
    """Describe the P blocks of an image: (P, 36) features, nan where one is flat; (P,) mean local deviation.

    ValueError: the image is smaller than a block.
    """
    luma = np.round(studio_luma(image))
    rows, columns = luma.shape[0] // BLOCK, luma.shape[1] // BLOCK
    if not rows or not columns:
        raise ValueError(f"NIQE needs an image of at least {BLOCK} x {BLOCK}, got {luma.shape[0]} x {luma.shape[1]}")
    luma = luma[: rows * BLOCK, : columns * BLOCK]
    contrast, deviation = _normalize(luma, window)
    half, _ = _normalize(_halving(luma.shape[0]) @ luma @ _halving(luma.shape[1]).T, window)
    features = [_describe(_blocks(contrast, BLOCK)), _describe(_blocks(half, BLOCK // 2))]
    return np.concatenate(features, axis=1), _blocks(deviation, BLOCK).mean(axis=(1, 2))


def _normalize(luma: Floats, window: Floats) -> tuple[Floats, Floats]:
    """Local contrast (equation 1) and local deviation, both (H, W)."""
    mean = cv2.filter2D(luma, -1, window, borderType=cv2.BORDER_REPLICATE)
    square = cv2.filter2D(luma * luma, -1, window, borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.abs(square - mean * mean))
    return (luma - mean) / (deviation + 1), deviation


def _blocks(plane: Floats, size: int) -> Floats:
    """(H, W) -> (P, size, size)."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    return plane.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)


def _describe(blocks: Floats) -> Floats:
    """(P, S, S) local contrast -> (P, 18) fitted distributions of the values and of their products with neighbours."""
    shape, left, right = _fit_asymmetric(blocks)
    columns = [shape, (left + right) / 2]
    for step in NEIGHBORS:
        shape, left, right = _fit_asymmetric(blocks * np.roll(blocks, step, axis=(1, 2)))
        mean = (right - left) * np.exp(_lgamma(2 / shape) - _lgamma(1 / shape))
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def _fit_asymmetric(blocks: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit asymmetric generalized Gaussians by moments (equations 4 to 8): shape, left and right scale, each (P,)."""
    values = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (np.sqrt((values**2 * side).sum(axis=1) / side.sum(axis=1)) for side in (values < 0, values > 0))
        skew = left / right
        ratio = np.abs(values).mean(axis=1) ** 2 / (values**2).mean(axis=1)
        wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes, ratios = _shape_table()
    upper = np.clip(np.searchsorted(ratios, np.nan_to_num(wanted)), 1, len(ratios) - 1)
    nearer = np.where(wanted - ratios[upper - 1] <= ratios[upper] - wanted, upper - 1, upper)
    shape = np.where(np.isfinite(wanted), shapes[nearer], np.nan)
    scale = np.exp((_lgamma(1 / shape) - _lgamma(3 / shape)) / 2)
    return shape, left * scale, right * scale


@cache
def _shape_table() -> tuple[Floats, Floats]:
    """Shapes 0.2 to 10 and the ratio of moments that each has, which rises with the shape."""
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, np.exp(2 * _lgamma(2 / shapes) - _lgamma(1 / shapes) - _lgamma(3 / shapes))


def _lgamma(x: Floats) -> Floats:
    return np.array([math.lgamma(value) for value in x])  # numpy has none


@cache
def _halving(size: int) -> Floats:
    """(size / 2, size) matrix that halves a signal as MATLAB's imresize does: cubic over 8 samples, mirrored edges."""
    matrix = np.zeros((size // 2, size))
    for row in range(size // 2):
        center = 2 * row + 0.5
        positions = np.arange(math.ceil(center - 4), math.floor(center + 4) + 1)
        weights = _cubic((positions - center) / 2)
        mirrored = positions % (2 * size)
        mirrored = np.minimum(mirrored, 2 * size - 1 - mirrored)
        np.add.at(matrix[row], mirrored, weights / weights.sum())
    return matrix


def _cubic(x: Floats) -> Floats:
    """Keys' cubic with a = -1/2."""
    t = np.abs(x)
    inner = 1.5 * t**3 - 2.5 * t**2 + 1
    outer = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))
