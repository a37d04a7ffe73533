"""The lists beside the crops: ``manifest.csv`` of those that were kept, ``rejected.csv`` of what was not, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from revisage.files import atomic_write
from revisage.training.data.components import NAMES, PUBLISHED_SIZE, Components
from revisage.training.embedded.labeled_photos import POINTS
from revisage.training.prepare.classic import components_at_512
from revisage.training.prepare.quality import Measures
from revisage.training.prepare.records import FaceRecord, PhotoRecord

MEASURES = tuple(field.name for field in fields(Measures))
KEPT = "file", "photo", "face", "side", "enlarged", *MEASURES
REJECTED = "photo", "face", "reason", "like", *MEASURES


def write_tables(output: Path, records: Sequence[PhotoRecord], errors: Mapping[str, str]) -> None:
    """Write both lists, atomically.

    Args:
        output: the folder.
        records: the settled photos.
        errors: photo -> why it could not be settled.

    Raises:
        OutputError: a list cannot be written.
    """
    points = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
    boxes = [f"{component}_{value}" for component in NAMES for value in ("x", "y", "half")]
    _write(output / "manifest.csv", [*KEPT, *points, *boxes], _kept(records))
    _write(output / "rejected.csv", REJECTED, _rejected(records, errors))


def _in_crop(components: Components, side: int) -> Components:
    """From pixels of a crop of 512 pixels to those of a crop of another side."""
    ratio = side / PUBLISHED_SIZE
    return np.column_stack([(components[:, :2] + 0.5) * ratio - 0.5, components[:, 2] * ratio])


def _kept(records: Iterable[PhotoRecord]) -> Iterator[list[object]]:
    for record in records:
        for face in record.kept:
            yield [
                *(face.file, record.photo, face.place, face.side, int(face.enlarged), *_numbers(face)),
                *(value for point in face.landmarks for value in point),
                *_in_crop(components_at_512(face), face.side).round(4).ravel().tolist(),
            ]


def _rejected(records: Iterable[PhotoRecord], errors: Mapping[str, str]) -> Iterator[list[object]]:
    for record in records:
        if record.reason:
            yield [record.photo, "", record.reason, record.like]
        for face in record.faces:
            if face.reason:
                yield [record.photo, face.place, face.reason, face.like, *_numbers(face)]
    for photo, error in errors.items():
        yield [photo, "", f"not settled: {error}"]


def _numbers(face: FaceRecord) -> list[object]:
    return ["" if value != value else value for value in astuple(face.measures)]  # NaN is not equal to itself


def _write(path: Path, header: Sequence[str], rows: Iterable[list[object]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows([*row, *[""] * (len(header) - len(row))] for row in rows)
