"""Many photos -> a folder of aligned faces with its lists, in parallel; resumable.

Photos are processed side by side but settled in their order. So crops are numbered and duplicates found the same way
whatever the number of workers, and an interrupted run ends like one that never stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from revisage.errors import InputError, OutputError
from revisage.files import atomic_write
from revisage.jobs.collector import Source
from revisage.jobs.ordered_prefetch import ordered_prefetch
from revisage.jobs.store import Entry, JobStore, Status, open_store
from revisage.training.prepare.faces import Detect, ExtractedFaces, extract_faces, hamming_distance
from revisage.training.prepare.records import (
    VALIDATION,
    FaceRecord,
    Fingerprint,
    Options,
    PhotoRecord,
    photo_from_json,
    write_landmarks,
    write_lmdbs,
    write_tables,
)

PER_WORKER = 4
"""Photos a worker that may be looked at or waiting: fewer, and one large photo would keep all workers idle."""
NO_FACE = "no face"
SAME_PHOTO = "duplicate photo"
SAME_FACE = "duplicate face"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one photo.

    Attributes:
        path: the photo.
        record: its record in the job store; None if it could not be settled.
        before: an earlier call settled it.
        error: one line that names it if something went wrong, else "". The next call tries again.
    """

    path: Path
    record: PhotoRecord | None = None
    before: bool = False
    error: str = ""


def prepare_photos(detect: Detect, sources: Sequence[Source], options: Options) -> Generator[Outcome]:
    """Cut the faces out of photos; one outcome a photo, in order, those of earlier calls first.

    Crops are ``output/SIZE/NUMBER.png``, numbered from 00000000 in the order of the photos. Photos that an earlier call
    settled are not looked at again. The lists ``manifest.csv`` and ``rejected.csv`` are written when the iterator ends,
    or is closed. With ``options.validation`` = N photos are taken in the order of a hash of their names, and all crops
    of the first N photos that have any go to ``output/val``; later calls leave these as they are. ``detect`` is called
    from several threads.

    Raises:
        InputError: the output folder was made with other settings, its job store is damaged, or no photo is left beside
            those to validate on.
        OutputError: the results cannot be written; what was settled before stays.
    """
    errors: list[Outcome] = []
    with open_settled(options) as settled:
        try:
            new = [source for source in sources if os.path.realpath(source.path) not in settled.paths]
            known = {source.path for source in sources} - {source.path for source in new}
            if 0 < options.validation >= len(new) + len(settled.paths):
                count = len(new) + len(settled.paths)
                raise InputError(f"validation on {options.validation} of {count} photos leaves none to train on")
            if options.validation:
                new.sort(key=lambda source: hashlib.sha256(source.path.name.encode()).digest())
            total = sum(1 for _ in sources)
            settled.note(total, len(known))
            yield from (Outcome(source.path, before=True) for source in sources if source.path in known)

            def look(source: Source) -> ExtractedFaces:
                return extract_faces(detect, source.path, options, settled.hashes.__contains__)

            items = (ExtractedFaces(error=source.fault) if source.fault else source for source in new)
            workers = options.workers
            looked = ordered_prefetch(look, items, ExtractedFaces, lambda _: 0, threads=workers, per_thread=PER_WORKER)
            with closing(looked):
                for seen, (source, extracted) in enumerate(zip(new, looked, strict=True), len(known) + 1):
                    outcome = settled.take(source.path, extracted)
                    settled.note(total, seen)
                    if outcome.error:
                        errors.append(outcome)
                    yield outcome
            if options.landmarks is not None:
                write_landmarks(options.landmarks, settled.records)
            if options.lmdb:
                write_lmdbs(options.output, settled.records)
        finally:
            write_tables(options.output, settled.records, {str(bad.path): bad.error for bad in errors})


@contextmanager
def open_settled(options: Options) -> Generator[SettledPhotos]:
    """Open the job store of an output folder; wait while another process works there (InputError, OutputError)."""
    try:
        with open_store(options.output, "prepare", options.settings(), wait=True, strict=True) as store:
            yield SettledPhotos(store, options)
    except OSError as error:
        raise OutputError(f"cannot write {options.output}: {error.strerror or error}") from error


class SettledPhotos:
    """The settled photos of an output folder, with the next number of a crop and the fingerprints of kept faces.

    Attributes:
        records: in the order in which they were settled.
        paths: of the photos.
        hashes: SHA-256 of a photo -> the first record of it.
    """

    def __init__(self, store: JobStore, options: Options) -> None:
        self._store = store
        self._options = options
        try:
            self.records = [photo_from_json(entry.details) for entry in store.entries()]
        except ValueError as error:
            raise InputError(f"the job store in {options.output} is damaged, or not of this program") from error
        self.paths = {record.photo for record in self.records}
        self.hashes = {record.sha256: record for record in reversed(self.records)}
        self._kept = KeptFaces()
        for record in self.records:
            for face in record.kept:
                self._kept.add(face.words, face.file)
        self._validation = sum(_is_held_out(record) for record in self.records)

    def take(self, path: Path, extracted: ExtractedFaces) -> Outcome:
        """Settle the next photo: write its crops, then its row in the store."""
        if extracted.error:
            return Outcome(path, error=extracted.error)
        photo = os.path.realpath(path)
        if twin := self.hashes.get(extracted.sha256):
            record = PhotoRecord(photo, extracted.sha256, SAME_PHOTO, twin.photo)
        else:
            pairs = zip(extracted.faces, extracted.crops, strict=True)
            folder = VALIDATION if self._validation < self._options.validation else ""
            faces = tuple(self._settle(face, crop, folder) for face, crop in pairs)
            record = PhotoRecord(photo, extracted.sha256, "" if faces else NO_FACE, faces=faces)
            self._validation += _is_held_out(record)
        self._append(record)
        return Outcome(path, record)

    def note(self, total: int, seen: int) -> None:
        """Note for ``revisage status`` how many photos there are, and how many of them are done."""
        self._store.note(total, seen)

    def _append(self, record: PhotoRecord) -> None:
        entry = Entry(
            key=f"{len(self.records):010d}",
            source=self._store.relative(Path(record.photo)),
            target="",
            run=self._store.run,
            status=Status.DONE,
            reason="; ".join(record.rejections),
            time=time.time(),
            details=json.dumps(record.as_json()),
        )
        self._store.put(entry)
        self.records.append(record)
        self.paths.add(record.photo)
        self.hashes.setdefault(record.sha256, record)

    def _settle(self, face: FaceRecord, crop: bytes, folder: str) -> FaceRecord:
        """Name a face's file and write it, unless the face is rejected or there already."""
        if face.reason:
            return face
        if twin := self._kept.find_duplicate(face.words, self._options.duplicate_bits):
            return replace(face, reason=SAME_FACE, duplicate_of=twin)
        file = f"{folder or face.size}/{len(self._kept):08d}.{self._options.format}"
        with atomic_write(self._options.output / file) as temporary:
            temporary.write_bytes(crop)
        self._kept.add(face.words, file)
        return replace(face, file=file)


def _is_held_out(record: PhotoRecord) -> bool:
    return any(face.file.startswith(f"{VALIDATION}/") for face in record.kept)


class KeptFaces:
    """Fingerprints of kept faces, and their files; all are searched: 3 ms for 100,000, far less than detection."""

    def __init__(self) -> None:
        self._words = array("Q")
        self._files: list[str] = []

    def add(self, words: Fingerprint, file: str) -> None:
        """Take in a face: (4,) uint64 and its file."""
        self._words.extend(words.tolist())
        self._files.append(file)

    def __len__(self) -> int:
        return len(self._files)

    def find_duplicate(self, words: Fingerprint, bits: int) -> str:
        """The file of the nearest kept face, if it differs in ``bits`` bits or fewer, the first of equals; else ""."""
        if not self._files:
            return ""
        distances = hamming_distance(np.frombuffer(self._words, np.uint64).reshape(-1, 4), words)
        nearest = int(distances.argmin())
        return self._files[nearest] if distances[nearest] <= bits else ""
