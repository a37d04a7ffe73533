"""Aligned faces through the restoration network, in batches, in the color space that it knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from revisage.images.pixels import from_nchw, to_nchw
from revisage.restore.face_job import FaceJob, update_active
from revisage.types import FaceStatus, FloatImage

RestoreNetwork = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(N, 3, S, S) float32 RGB in [-1, 1] -> the same shape."""


def enhance(jobs: Sequence[FaceJob], network: RestoreNetwork, batch: int) -> list[FaceJob]:
    """Set the ``output`` of all active faces; those for which the network returns no finite image fail.

    Networks are trained on sRGB. Crops of other color spaces are converted, and the correction is brought back.
    """

    def update(active: list[FaceJob]) -> list[FaceJob]:
        inputs = [job.crop if job.space is None else job.space.to_srgb(job.crop) for job in active]
        triples = zip(active, inputs, run_in_batches(inputs, network, batch), strict=True)
        return [with_output(*triple) for triple in triples]

    return update_active(jobs, update)


def run_in_batches(crops: Sequence[FloatImage], network: RestoreNetwork, batch: int) -> list[FloatImage | None]:
    """Crops (S, S, 3) in [0, 1] -> restored ones, clipped to [0, 1]; None where the output is not finite."""
    results: list[FloatImage | None] = []
    for start in range(0, len(crops), batch):
        for output in network(to_nchw(crops[start : start + batch])):
            results += from_nchw(output[None]) if np.isfinite(output).all() else [None]
    return results


def with_output(job: FaceJob, seen: FloatImage, output: FloatImage | None) -> FaceJob:
    """An active face with the network's output, brought back to its color space; failed if there is none.

    ``seen``, its crop, and ``output`` are in sRGB.
    """
    if output is not None and job.space is not None:
        output = job.space.apply_correction(job.crop, seen, output)
    return with_own_output(job, output)


def with_own_output(job: FaceJob, output: FloatImage | None) -> FaceJob:
    """An active face with an output that is in its color space already; failed if there is none."""
    if output is None:
        return job.stop(FaceStatus.FAILED, "the network's output is not finite")
    return replace(job, output=output)
