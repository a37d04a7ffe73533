"""The crops in the forms that classic training tools take: a file of eyes and mouths, and an LMDB."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from revisage.training.data.components import (
    PUBLISHED_SIZE,
    Components,
    estimate_components,
    read_components,
    write_components,
)
from revisage.training.data.crops import read_crop
from revisage.training.data.sources import LmdbSource, write_lmdb
from revisage.training.prepare.records import FaceRecord, PhotoRecord


def write_landmarks(path: Path, records: Iterable[PhotoRecord]) -> None:
    """Put the eyes and mouths of the kept faces into a classic landmarks file, under the names of their crops.

    Entries that the file has under other names stay.

    Raises:
        RecipeError: there is a file, but not one of this form.
        OutputError: it cannot be written.
    """
    known = read_components(path) if path.exists() else {}
    found = {Path(face.file).stem: components_at_512(face) for record in records for face in record.kept}
    write_components(path, known | found)


def components_at_512(face: FaceRecord) -> Components:
    """Eyes and mouth in pixels of a crop of 512 pixels, whatever the side of the face's own."""
    points = np.array(face.landmarks)
    return estimate_components((points + 0.5) * (PUBLISHED_SIZE / face.side) - 0.5)


def write_lmdbs(output: Path, records: Iterable[PhotoRecord]) -> None:
    """Write ``output/FOLDER.lmdb`` for each folder of crops, unless it holds them all already.

    Raises:
        RecipeError: the package ``lmdb`` is missing.
        OutputError: it cannot be written; an earlier one is intact.
    """
    folders: dict[str, list[Path]] = {}
    for face in (face for record in records for face in record.kept):
        folders.setdefault(face.file.partition("/")[0], []).append(output / face.file)
    for folder, files in folders.items():
        path = output / f"{folder}.lmdb"
        if path.exists() and LmdbSource(path).names == [file.stem for file in files]:
            continue
        fresh = output / f".{folder}.lmdb"
        shutil.rmtree(fresh, ignore_errors=True)
        write_lmdb(fresh, map(read_crop, files))
        shutil.rmtree(path, ignore_errors=True)
        fresh.rename(path)
