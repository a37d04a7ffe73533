"""What becomes of each face: whether it is restored, and what the result says of it."""

from __future__ import annotations

import math
from dataclasses import replace

from numpy.typing import DTypeLike

from revisage.errors import InputError
from revisage.images.pixels import from_float
from revisage.restore.align import align
from revisage.restore.blend import Moderated
from revisage.types import AlignedFace, Face, FaceStatus, FloatImage, Image, RestoredFace

MIN_EYE_DISTANCE = 5.0
"""Pixels between the eyes below which a face holds nothing to restore (the classic tool's threshold)."""


def judged(face: Face | None, reason: str = "") -> RestoredFace:
    """A face that will be restored (status RESTORED), or why not.

    Args:
        face: as detected; None for a picture that is an aligned face.
        reason: why it was not chosen, "" if it was.
    """
    if face is None:
        return RestoredFace(None, None, 1.0, FaceStatus.RESTORED)
    status, eyes = FaceStatus.RESTORED, math.dist(face.landmarks[0], face.landmarks[1])
    if reason:
        status = FaceStatus.NOT_SELECTED
    elif eyes < MIN_EYE_DISTANCE:
        status, reason = FaceStatus.TOO_SMALL, f"eyes only {eyes:.1f} px apart"
    return RestoredFace(face.box, face.landmarks, face.score, status, reason)


def align_selected(picture: Image, faces: list[RestoredFace], size: int) -> dict[int, AlignedFace]:
    """Place in ``faces`` -> aligned face, if it is to be restored; hopeless landmarks mark a face as failed."""
    aligned: dict[int, AlignedFace] = {}
    for place, face in enumerate(faces):
        if face.status is not FaceStatus.RESTORED or face.landmarks is None:
            continue
        try:
            aligned[place] = align(picture, face.landmarks, size, face.box)
        except InputError as error:
            faces[place] = replace(face, status=FaceStatus.FAILED, reason=str(error))
    return aligned


def finished(
    face: RestoredFace,
    before: FloatImage,
    outcome: Moderated | None,
    dtype: DTypeLike,
    used: tuple[int, int] | None = None,
) -> RestoredFace:
    """The face as the result reports it.

    Args:
        face: as chosen.
        before: its crop, (S, S, 3) float32 in [0, 1].
        outcome: how far it is restored; None if the network failed.
        dtype: of the reported crops.
        used: (height, width) of the crops that holds the picture; None for all.
    """
    if outcome is None:
        return replace(face, status=FaceStatus.FAILED, reason="the network's output is not finite")
    if outcome.reason:
        return replace(face, status=FaceStatus.KEPT, reason=outcome.reason, identity=outcome.identity)
    height, width = used or before.shape[:2]
    crop, restored = (from_float(picture[:height, :width], dtype) for picture in (before, outcome.over(before)))
    return replace(face, crop=crop, restored=restored, strength=outcome.strength, identity=outcome.identity)
