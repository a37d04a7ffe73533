"""FaceJob: one face on its way through a restoration, and the result made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from revisage.images.icc import ColorSpace
from revisage.images.pixels import from_float
from revisage.types import AlignedFace, Face, FaceStatus, FloatImage, RestoredFace


@dataclass(frozen=True, slots=True, eq=False)
class FaceJob:
    """A face between detection and paste. Each step returns a copy with its findings added.

    Attributes:
        image: index of the face's image in the call.
        face: as detected; None if the whole image is an aligned face.
        status: what has happened so far; DETECTED while the face is still on its way.
        reason: why the face left the way, else "".
        aligned: crop and transform, after alignment.
        valid: (height, width) of the crop's top left part that shows the image; None for all of it.
        space: color space of the crop; None for sRGB.
        output: (S, S, 3) float32 in [0, 1], the face as the network returned it, after enhancement.
        alpha: share of ``output`` in the result: a number in [0, 1], or (S, S, 1) per pixel.
        own_strength: the strength asked for this face alone; None: that of all faces.
        strength: the strength that ``alpha`` amounts to where no region has one of its own.
        similarity: cosine similarity to the face before; None if not measured.
    """

    image: int
    face: Face | None
    status: FaceStatus = FaceStatus.DETECTED
    reason: str = ""
    aligned: AlignedFace | None = None
    valid: tuple[int, int] | None = None
    space: ColorSpace | None = None
    output: FloatImage | None = None
    alpha: FloatImage | float = 0.0
    own_strength: float | None = None
    strength: float = 0.0
    similarity: float | None = None

    @property
    def is_active(self) -> bool:
        """Whether the face is still on its way."""
        return self.status is FaceStatus.DETECTED

    @property
    def crop(self) -> FloatImage:
        """(S, S, 3) float32 in [0, 1], the aligned face before."""
        assert self.aligned is not None
        return self.aligned.crop

    def stop(self, status: FaceStatus, reason: str) -> FaceJob:
        """The face leaves the way."""
        return replace(self, status=status, reason=reason)

    def composite(self, before: FloatImage | None = None) -> FloatImage:
        """(S, S, 3): ``output`` mixed by ``alpha`` with ``before``, by default the crop."""
        assert self.output is not None
        return mix(self.crop if before is None else before, self.output, self.alpha)

    def scaled(self, factor: float) -> FaceJob:
        """The same face with all strengths times ``factor``."""
        return replace(self, alpha=np.float32(factor) * self.alpha, strength=factor * self.strength)

    def to_result(self, dtype: DTypeLike, composite: FloatImage | None = None) -> RestoredFace:
        """The face as the result reports it, with crops in the image's dtype; ``composite`` is its own, if at hand."""
        known = self.face
        result = RestoredFace(
            known and known.box,
            known and known.landmarks,
            known.score if known else 1.0,
            self.status,
            self.reason,
            similarity=self.similarity,
        )
        if self.status is not FaceStatus.RESTORED:
            return result
        height, width = self.valid or self.crop.shape[:2]
        after = (self.composite() if composite is None else composite)[:height, :width]
        before = self.crop[:height, :width]
        change = float(np.abs(after - before).mean()) * 255
        crop, restored = from_float(before, dtype), from_float(after, dtype)
        return replace(result, crop=crop, restored=restored, strength=self.strength, change=change)


def update_active(jobs: Sequence[FaceJob], update: Callable[[list[FaceJob]], Iterable[FaceJob]]) -> list[FaceJob]:
    """All faces in order, the active ones replaced by what ``update`` returns for them, one for one."""
    updated = iter(update([job for job in jobs if job.is_active]))
    return [next(updated) if job.is_active else job for job in jobs]


def mix(before: FloatImage, after: FloatImage, alpha: FloatImage | float) -> FloatImage:
    """``before`` at alpha 0, ``after`` at 1, linear between; alpha is a number or (S, S, 1) per pixel."""
    return np.asarray(before + np.asarray(alpha, np.float32) * (after - before), np.float32)
