"""Records of photos and the faces in them, and the forms they are written in: lists, landmarks file, LMDB."""

from __future__ import annotations

import csv
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from revisage.files import atomic_write
from revisage.training.data.components import (
    NAMES,
    PUBLISHED_SIZE,
    Components,
    estimate_components,
    read_components,
    write_components,
)
from revisage.training.data.crops import read_crop
from revisage.training.data.sources import LmdbSource, write_lmdb
from revisage.training.embedded.labeled_photos import POINTS

VALIDATION = "val"
"""Folder of the crops that are held out."""
_FILE = re.compile(rf"(?:\d+|{VALIDATION})/\d+\.\w+")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
Fingerprint = NDArray[np.uint64]
"""(4,) words of 64 bits."""
SIZES = (512, 256)
"""Sizes of crops whose size follows from the photo."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Measurements of a face; NaN where there is none.

    Attributes:
        width: of the face in pixels of the photo.
        score: the detector's, 0..1.
        native_size: of the crop in pixels of the photo; a larger crop was enlarged.
        inside: share of the crop that lies inside the photo, 0..1.
        yaw, sharpness: see :func:`.faces.estimate_yaw` and :func:`.faces.measure_sharpness`.
        brightness: median luma of the face, 0..1.
        overexposed: share of the face that is nearly white, 0..1.
    """

    width: float
    score: float
    native_size: float
    inside: float
    yaw: float
    sharpness: float = math.nan
    brightness: float = math.nan
    overexposed: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that a kept face must meet; names and units as in :class:`Measures`.

    A crop shows about 1.8 times the width of its face: 128 pixels of face make a native side of some 235.
    """

    min_width: float = 128.0
    min_score: float = 0.8
    min_inside: float = 0.9
    max_yaw: float = 0.4
    min_sharpness: float = 25.0
    min_brightness: float = 0.08
    max_overexposed: float = 0.25

    def find_fault(self, face: Measures) -> str:
        """The first reason to reject a face, "" if there is none; what was not measured is no reason."""
        faults = {
            "too small": face.width < self.min_width,
            "unsure": face.score < self.min_score,
            "cut off": face.inside < self.min_inside,
            "turned": abs(face.yaw) > self.max_yaw,
            "too dark": face.brightness < self.min_brightness,
            "over-exposed": face.overexposed > self.max_overexposed,
            "blurred": face.sharpness < self.min_sharpness,
        }
        return next((reason for reason, applies in faults.items() if applies), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to prepare photos.

    Attributes:
        output: folder of the results.
        size: of the crops in pixels; None for 512 where the photo has as many for the face, else 256.
        format: "png", or "jpg" (quality 95).
        limits: what a face must have.
        duplicate_bits: most bits, of 256, that fingerprints of duplicates differ in.
        validation: number of photos whose crops go to the folder ``val``, to validate on.
        workers: photos that are looked at together.
        landmarks: a classic landmarks file to put eyes and mouths into; None for none.
        lmdb: also write an LMDB of each folder of crops.
    """

    output: Path
    size: int | None = 512
    format: str = "png"
    limits: Limits = field(default_factory=Limits)
    duplicate_bits: int = 32
    validation: int = 0
    workers: int = 1
    landmarks: Path | None = None
    lmdb: bool = False

    def settings(self) -> dict[str, Any]:
        """The settings that the results depend on, as JSON values."""
        return {
            "size": self.size,
            "format": self.format,
            "duplicate_bits": self.duplicate_bits,
            "validation": self.validation,
            **asdict(self.limits),
        }


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """A face and what became of it.

    Attributes:
        index: in its photo, from 0, in the detector's order.
        size: of its crop in pixels; 0 if none was made.
        measures: of its image and position.
        landmarks: five (x, y) in pixels of the crop.
        fingerprint: 64 hexadecimal digits, "" if no crop was made.
        reason: why it is not kept, else "".
        file: its crop, relative to the output folder, "" if it is not kept.
        duplicate_of: the crop that it is a duplicate of, else "".
    """

    index: int
    size: int
    measures: Measures
    landmarks: tuple[tuple[float, float], ...]
    fingerprint: str = ""
    reason: str = ""
    file: str = ""
    duplicate_of: str = ""

    @property
    def words(self) -> Fingerprint:
        """The fingerprint as (4,) uint64."""
        return np.frombuffer(bytes.fromhex(self.fingerprint), np.uint64)

    @property
    def enlarged(self) -> bool:
        """Whether the crop has more pixels than the photo had for it."""
        return self.measures.native_size < self.size


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A photo that is settled.

    Attributes:
        photo: its path, absolute and without links.
        sha256: of the file, hexadecimal.
        reason: why it has no faces here, else "".
        duplicate_of: the photo that it is a duplicate of, else "".
    """

    photo: str
    sha256: str
    reason: str = ""
    duplicate_of: str = ""
    faces: tuple[FaceRecord, ...] = ()

    @property
    def kept(self) -> list[FaceRecord]:
        """The faces that have a crop."""
        return [face for face in self.faces if not face.reason]

    @property
    def rejections(self) -> list[str]:
        """Why the photo has no faces here, or why those that are not kept are not."""
        return [reason for reason in (self.reason, *(face.reason for face in self.faces)) if reason]

    def as_json(self) -> dict[str, Any]:
        """JSON values; what was not measured is left out."""
        content = asdict(self)
        for face in content["faces"]:
            face["measures"] = {name: value for name, value in face["measures"].items() if not math.isnan(value)}
        return content


def photo_from_json(text: str) -> PhotoRecord:
    """The inverse of :meth:`PhotoRecord.as_json` (ValueError: it is not that)."""
    record = _PHOTO.validate_json(text)
    for face in record.kept:
        if not (_FILE.fullmatch(face.file) and _FINGERPRINT.fullmatch(face.fingerprint) and len(face.landmarks) == 5):
            raise ValueError(f"{face.file!r} is no crop of this program")
    return record


_PHOTO = TypeAdapter(PhotoRecord)


MEASURES = tuple(field.name for field in fields(Measures))
KEPT = "file", "photo", "face", "size", "enlarged", *MEASURES
REJECTED = "photo", "face", "reason", "duplicate_of", *MEASURES


def write_tables(output: Path, records: Sequence[PhotoRecord], errors: Mapping[str, str]) -> None:
    """Write both lists, atomically; ``errors``: photo -> why it could not be settled."""
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
                *(face.file, record.photo, face.index, face.size, int(face.enlarged), *_numbers(face)),
                *(value for point in face.landmarks for value in point),
                *_in_crop(components_at_512(face), face.size).round(4).ravel().tolist(),
            ]


def _rejected(records: Iterable[PhotoRecord], errors: Mapping[str, str]) -> Iterator[list[object]]:
    for record in records:
        if record.reason:
            yield [record.photo, "", record.reason, record.duplicate_of]
        for face in record.faces:
            if face.reason:
                yield [record.photo, face.index, face.reason, face.duplicate_of, *_numbers(face)]
    for photo, error in errors.items():
        yield [photo, "", f"not settled: {error}"]


def _numbers(face: FaceRecord) -> list[object]:
    return ["" if value != value else value for value in astuple(face.measures)]  # NaN is not equal to itself


def _write(path: Path, header: Sequence[str], rows: Iterable[list[object]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows([*row, *[""] * (len(header) - len(row))] for row in rows)


def write_landmarks(path: Path, records: Iterable[PhotoRecord]) -> None:
    """Put the eyes and mouths of the kept faces into a classic landmarks file, under the names of their crops.

    Entries under other names stay (RecipeError: there is a file, but not one of this form).
    """
    known = read_components(path) if path.exists() else {}
    found = {Path(face.file).stem: components_at_512(face) for record in records for face in record.kept}
    write_components(path, known | found)


def components_at_512(face: FaceRecord) -> Components:
    """Eyes and mouth in pixels of a crop of 512 pixels, whatever the side of the face's own."""
    points = np.array(face.landmarks)
    return estimate_components((points + 0.5) * (PUBLISHED_SIZE / face.size) - 0.5)


def write_lmdbs(output: Path, records: Iterable[PhotoRecord]) -> None:
    """Write ``output/FOLDER.lmdb`` for each folder of crops, unless it holds them all (RecipeError: no lmdb)."""
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
