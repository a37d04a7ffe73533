"""What is known of photos and the faces in them, as it is kept in the job store and listed in the tables."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from revisage.training.prepare.quality import Fingerprint, Limits, Measures

VALIDATION = "val"
"""Folder of the crops that are held out."""
_FILE = re.compile(rf"(?:\d+|{VALIDATION})/\d+\.\w+")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
SIDES = (512, 256)
"""Sides of crops whose side follows from the photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to prepare photos.

    Attributes:
        output: folder of the results.
        size: side of the crops in pixels; None for 512 where the photo has as many for the face, else 256.
        format: "png", or "jpg" (quality 95).
        limits: what a face must have.
        duplicate_bits: a face is a duplicate if its fingerprint differs from a kept one's in so many of 256 bits or
            fewer.
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
        """What the results depend on, as JSON values."""
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
        place: in its photo, from 0, best score first.
        side: of its crop in pixels; 0 if none was made.
        measures: see there.
        landmarks: five (x, y) in pixels of the crop.
        fingerprint: 64 hexadecimal digits, "" if no crop was made.
        reason: why it is not kept, else "".
        file: its crop, relative to the output folder, "" if it is not kept.
        like: the crop that it is a duplicate of, else "".
    """

    place: int
    side: int
    measures: Measures
    landmarks: tuple[tuple[float, float], ...]
    fingerprint: str = ""
    reason: str = ""
    file: str = ""
    like: str = ""

    @property
    def words(self) -> Fingerprint:
        """The fingerprint as (4,) uint64."""
        return np.frombuffer(bytes.fromhex(self.fingerprint), np.uint64)

    @property
    def enlarged(self) -> bool:
        """Whether the crop has more pixels than the photo had for it."""
        return self.measures.native_side < self.side


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A photo that is settled.

    Attributes:
        photo: its path, absolute and without links.
        sha256: of the file, hexadecimal.
        reason: why it has no faces here, else "".
        like: the photo that it is a duplicate of, else "".
        faces: best score first.
    """

    photo: str
    sha256: str
    reason: str = ""
    like: str = ""
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
    """The inverse of :meth:`PhotoRecord.as_json`.

    Raises:
        ValueError: it is not that.
    """
    record = _PHOTO.validate_json(text)
    for face in record.kept:
        if not (_FILE.fullmatch(face.file) and _FINGERPRINT.fullmatch(face.fingerprint) and len(face.landmarks) == 5):
            raise ValueError(f"{face.file!r} is no crop of this program")
    return record


_PHOTO = TypeAdapter(PhotoRecord)
