"""Faces and outcomes as JSON values: the same on the command line and over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revisage.jobs.outcome import Outcome
    from revisage.types import Face, RestoredFace


def face_fields(number: int, face: Face | RestoredFace) -> dict[str, Any]:
    """A detected or restored face: number, box, landmarks and score; once restored also what became of it."""
    box, landmarks = face.box, face.landmarks
    fields: dict[str, Any] = {
        "number": number,
        "box": None if box is None else [round(value, 2) for value in box.tolist()],
        "landmarks": None if landmarks is None else [[round(x, 2), round(y, 2)] for x, y in landmarks.tolist()],
        "score": round(face.score, 4),
    }
    for name in ("status", "reason", "strength", "similarity", "change"):
        if hasattr(face, name):
            value = getattr(face, name)
            fields[name] = round(value, 4) if isinstance(value, float) else value
    return fields


def status_of(outcome: Outcome) -> str:
    """``failed``, ``up to date``, ``skipped`` (the result exists already) or ``done``."""
    if outcome.error:
        return "failed"
    return "up to date" if outcome.up_to_date else "skipped" if outcome.exists else "done"


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """The outcome of an image or video; of a video without its faces, but with the number of frames and tracks."""
    faces = [face_fields(*numbered) for numbered in enumerate(outcome.faces)]
    for face, (frame, number) in zip(faces, outcome.numbers, strict=False):
        face |= {"number": number, "frame": frame}
    fields: dict[str, Any] = {
        "path": outcome.path,
        "target": outcome.target,
        "status": status_of(outcome),
        "error": outcome.error,
        "faces": faces,
        "left_out": outcome.left_out,
        "warnings": outcome.warnings,
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.frames:
        fields |= {name: getattr(outcome, name) for name in ("frames", "found", "restored", "failed", "tracks")}
    return fields
