"""From the network's output to what is pasted: grain, strength per region, identity guard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import MissingWeightsError
from revisage.geometry import magnification
from revisage.restore.controls import Controls
from revisage.restore.face_job import FaceJob, update_active
from revisage.restore.regions import strength_map
from revisage.types import FaceStatus, FloatImage

STEPS = 8
"""Fractions of the strength that the identity guard tries: 8/8, 7/8, ... 1/8."""

Parse = Callable[[Sequence[FloatImage]], NDArray[np.uint8]]
"""Aligned faces (S, S, 3) in [0, 1] -> (N, S, S), each pixel's index in ``nets.parsenet.CLASSES``."""
Embed = Callable[[Sequence[FloatImage]], NDArray[np.float32]]
"""Aligned faces (S, S, 3) in [0, 1] -> (N, D) float32 unit vectors; the product of two is their cosine similarity."""


def blend(
    jobs: Sequence[FaceJob], controls: Controls, parse: Parse | None = None, embed: Embed | None = None
) -> list[FaceJob]:
    """Set how far each face is restored: ``output``, ``alpha``, ``strength``, ``similarity``, and its final status.

    Grain is put back before the strengths act, so the result has the same grain at every strength. Only active faces
    are blended. Without ``parse`` the regions are where the alignment template has them. ``embed`` is needed if
    ``controls.min_identity`` is set (MissingWeightsError: there is none).
    """

    def update(active: list[FaceJob]) -> list[FaceJob]:
        grained = [_with_grain(job, controls.keep_grain) for job in active]
        blended = [
            replace(job, alpha=alpha, strength=_strength(job, controls), status=FaceStatus.RESTORED)
            for job, alpha in zip(grained, _alphas(grained, controls, parse), strict=True)
        ]
        if controls.min_identity is None or not blended:
            return blended
        return _guard(blended, controls.min_identity, controls.identity_action, require_embedder(embed))

    return update_active(jobs, update)


def _alphas(jobs: Sequence[FaceJob], controls: Controls, parse: Parse | None) -> list[FloatImage | float]:
    if not controls.regions or not jobs:
        return [_strength(job, controls) for job in jobs]
    labels = [None] * len(jobs) if parse is None else list(parse([_output(job) for job in jobs]))
    return [
        strength_map(len(job.crop), _strength(job, controls), controls.regions, found)
        for job, found in zip(jobs, labels, strict=True)
    ]


def _strength(job: FaceJob, controls: Controls) -> float:
    return controls.strength if job.own_strength is None else job.own_strength


def _guard(jobs: Sequence[FaceJob], threshold: float, action: str, embed: Embed) -> list[FaceJob]:
    """Hold back faces whose similarity to themselves would fall below the threshold."""
    before = embed([job.crop for job in jobs])
    after = embed([job.composite() for job in jobs])
    similarities = np.sum(before * after, axis=1).clip(-1, 1).tolist()
    results: list[FaceJob] = []
    for job, embedding, similarity in zip(jobs, before, similarities, strict=True):
        if similarity >= threshold:
            results.append(replace(job, similarity=similarity))
            continue
        reduced = _reduce(job, embedding, threshold, embed) if action == "reduce" else None
        reason = f"restoring would change the face: similarity {similarity:z.3f}, below {threshold:.3f}"
        results.append(reduced or replace(job.scaled(0.0).stop(FaceStatus.KEPT, reason), similarity=similarity))
    return results


def _reduce(job: FaceJob, embedding: NDArray[np.float32], threshold: float, embed: Embed) -> FaceJob | None:
    """The face at the largest fraction of its strength, below 1, that passes the threshold; None if none does."""
    tries = [job.scaled(step / STEPS) for step in range(STEPS - 1, 0, -1)]
    similarities = (embed([one.composite() for one in tries]) @ embedding).clip(-1, 1).tolist()
    pairs = zip(tries, similarities, strict=True)
    return next((replace(one, similarity=value) for one, value in pairs if value >= threshold), None)


def require_embedder(embed: Embed | None) -> Embed:
    """``embed`` itself (MissingWeightsError: it is None)."""
    if embed is None:
        raise MissingWeightsError("comparing identities needs an identity embedder: revisage.load(identity=...)")
    return embed


def _output(job: FaceJob) -> FloatImage:
    assert job.output is not None
    return job.output


GRAIN_SIGMA = 1.5
"""Standard deviation, in pixels of the photo, of the blur that separates grain from what is coarser."""
GRAIN_WINDOW = 6.0
"""Over how many of those the amplitude is compared with the noise level, to tell grain from edges."""
GRAIN_EDGE = 1.5
"""Noise levels above which the local amplitude counts as structure and is held back."""
GRAIN_LIMIT = 3.0
"""Noise levels beyond which a single pixel is cut off."""


def noise_level(residual: FloatImage) -> NDArray[np.float32]:
    """Standard deviation (C,) of noise in a high-pass residual (H, W, C) float32, robust against edges.

    The median absolute deviation (Donoho and Johnstone 1994) of its middle: the corners of a crop may lie outside of
    the photo.
    """
    height, width = residual.shape[:2]
    middle = residual[height // 6 : height - height // 6, width // 6 : width - width // 6]
    values = middle.reshape(-1, residual.shape[2])
    return (1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)).astype(np.float32)


def lost_grain(before: FloatImage, after: FloatImage, magnification: float) -> FloatImage:
    """The fine grain that ``before`` has and ``after`` lacks, without the edges in which they differ too.

    Both are crops (H, W, 3) float32 in [0, 1]. ``magnification``: pixels of the crop that a pixel of the photo fills;
    grain is as much coarser in the crop. Returns (H, W, 3) float32 around 0; ``after`` plus this has the grain of
    ``before``.
    """
    sigma = GRAIN_SIGMA * max(magnification, 1.0)
    removed = before - after
    residual = removed - cv2.GaussianBlur(removed, (0, 0), sigma)
    level = noise_level(residual)
    energy = cv2.GaussianBlur(residual * residual, (0, 0), GRAIN_WINDOW * sigma / 2)
    kept = np.minimum(1, (GRAIN_EDGE * level) ** 2 / np.maximum(energy, np.float32(1e-12)))
    return np.clip(residual * kept, -GRAIN_LIMIT * level, GRAIN_LIMIT * level).astype(np.float32)


def with_grain(before: FloatImage, after: FloatImage, amount: float, magnification: float) -> FloatImage:
    """``after`` with ``amount`` (0..1) of the grain that it lost; (H, W, 3) float32 in [0, 1]."""
    if not amount:
        return after
    return np.clip(after + np.float32(amount) * lost_grain(before, after, magnification), 0, 1).astype(np.float32)


def _with_grain(job: FaceJob, amount: float) -> FaceJob:
    assert job.aligned is not None
    ratio = magnification(job.aligned.crop_from_image)
    return replace(job, output=with_grain(job.crop, _output(job), amount, ratio))
