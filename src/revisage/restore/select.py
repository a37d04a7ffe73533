"""Which of the faces of an image are restored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from revisage.restore.controls import Selection, Which
from revisage.restore.face_job import FaceJob
from revisage.types import Face, FaceStatus

MIN_EYE_DISTANCE = 5.0
"""Pixels between the eyes below which a face holds nothing to restore (the classic tool's threshold)."""

Similarity = Callable[[list[Face]], list[float]]
"""Faces -> of each the highest cosine similarity to the reference person."""


def sort_faces(faces: Sequence[Face], order: str = "position") -> list[Face]:
    """Faces in the order in which they are numbered, see ``Selection.order``.

    Rows are read as in a text: a face whose center is above the lower edge of a row's faces (the mean of their centers
    and half of their mean height) belongs to that row.
    """
    if order == "score":
        return sorted(faces, key=lambda face: -face.score)
    if order == "size":
        return sorted(faces, key=lambda face: -_area(face))
    rows: list[list[Face]] = []
    for face in sorted(faces, key=lambda face: float(center(face)[1])):
        if rows and center(face)[1] < _lower_edge(rows[-1]):
            rows[-1].append(face)
        else:
            rows.append([face])
    return [face for row in rows for face in sorted(row, key=lambda face: float(center(face)[0]))]


def _lower_edge(row: Sequence[Face]) -> float:
    centers = [float(center(face)[1]) for face in row]
    heights = [float(face.box[3] - face.box[1]) for face in row]
    return float(np.mean(centers) + np.mean(heights) / 2)


def select(
    jobs: Sequence[FaceJob], shape: tuple[int, ...], selection: Selection, similarity: Similarity | None = None
) -> list[FaceJob]:
    """Stop the faces of one image that are not selected, or too small to restore; ``jobs`` are in the order of results.

    Without ``similarity`` there is no comparison with ``selection.reference``.
    """
    faces = [job.face for job in jobs if job.face is not None]
    reasons = unselected_reasons(faces, shape, selection, similarity)
    return [_judge(job, face, reason) for job, face, reason in zip(jobs, faces, reasons, strict=True)]


def _judge(job: FaceJob, face: Face, reason: str) -> FaceJob:
    if reason:
        return job.stop(FaceStatus.NOT_SELECTED, reason)
    eyes = math.dist(face.landmarks[0], face.landmarks[1])
    return job.stop(FaceStatus.TOO_SMALL, f"eyes only {eyes:.1f} px apart") if eyes < MIN_EYE_DISTANCE else job


def unselected_reasons(
    faces: Sequence[Face], shape: tuple[int, ...], selection: Selection, similarity: Similarity | None = None
) -> list[str]:
    """Why each face is left out; "" for selected ones. ``similarity`` is asked only for faces that pass the rest."""
    reasons = [_failed_condition(face, selection) for face in faces]
    left = [index for index, reason in enumerate(reasons) if not reason]
    if similarity is not None:
        for index, value in zip(left, similarity([faces[index] for index in left]), strict=True):
            if value < selection.min_similarity:
                reasons[index] = f"not the person asked for (similarity {value:.2f})"
        left = [index for index in left if not reasons[index]]
    chosen = _indices(faces, left, shape, selection.which)
    what = f"the {selection.which} face" if isinstance(selection.which, str) else "among the faces asked for"
    return [reason or ("" if index in chosen else f"not {what}") for index, reason in enumerate(reasons)]


def _failed_condition(face: Face, selection: Selection) -> str:
    """The first condition that a face fails by itself, "" if none."""
    width = float(face.box[2] - face.box[0])
    if width < selection.min_size:
        return f"only {width:.0f} px wide"
    if width > selection.max_size:
        return f"{width:.0f} px wide"
    if face.score < selection.min_score:
        return f"score only {face.score:.2f}"
    if selection.roi is not None:
        x, y = center(face)
        x1, y1, x2, y2 = selection.roi
        if not (x1 <= x <= x2 and y1 <= y <= y2):
            return "outside of the region of interest"
    return ""


def _indices(faces: Sequence[Face], left: list[int], shape: tuple[int, ...], which: Which) -> set[int]:
    """Which of the indices ``left`` are meant."""
    if isinstance(which, tuple):
        return set(left) & set(which)
    if which == "all" or not left:
        return set(left)
    if which == "largest":
        return {largest(faces, left)}
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    return {min(left, key=lambda index: float(np.linalg.norm(center(faces[index]) - middle)))}


def largest(faces: Sequence[Face], among: Sequence[int] | None = None) -> int:
    """Index of the face with the largest box; of equal ones the first."""
    indices = range(len(faces)) if among is None else among
    return max(indices, key=lambda index: _area(faces[index]))


def _area(face: Face) -> float:
    return float(np.prod(face.box[2:] - face.box[:2]))


def center(face: Face) -> NDArray[np.floating]:
    """(2,) x, y of the center of a face's box."""
    return (face.box[:2] + face.box[2:]) / 2
