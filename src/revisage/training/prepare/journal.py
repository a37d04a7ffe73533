"""The journal of a preparation: one JSON line for each settled photo, so that a second call can go on.

The first line holds the settings that the results depend on. A line counts once its line break is written: what a
killed process left half done is cut off, and the photo is looked at again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from revisage.errors import InputError, OutputError
from revisage.jobs.lock import locked
from revisage.training.prepare.records import PhotoRecord, photo_from_json

NAME = "journal.jsonl"


class Journal:
    """The settled photos of an output folder, in the order in which they were settled. See :func:`opened`."""

    def __init__(self, file: IO[bytes], records: list[PhotoRecord]) -> None:
        self._file = file
        self.records = records
        self.paths = {record.photo for record in records}
        self.hashes = {record.sha256: record for record in reversed(records)}

    def append(self, record: PhotoRecord) -> None:
        """Settle a photo; when this returns it is on the disk.

        Raises:
            OutputError: it cannot be written.
        """
        _write(self._file, record.as_json())
        self.records.append(record)
        self.paths.add(record.photo)
        self.hashes.setdefault(record.sha256, record)


@contextmanager
def opened(output: Path, settings: Mapping[str, Any]) -> Generator[Journal]:
    """The journal of an output folder, made if need be; waits while another process works on that folder.

    Raises:
        InputError: the folder was made with other settings, or the journal is damaged.
        OutputError: the folder cannot be written to.
    """
    path = output / NAME
    try:
        with locked(output / ".lock"), path.open("ab+") as file:
            yield Journal(file, _resume(file, path, settings))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _resume(file: IO[bytes], path: Path, settings: Mapping[str, Any]) -> list[PhotoRecord]:
    """Read what is settled, cut off half a line, and begin with the settings if there is nothing yet."""
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    file.truncate(whole)
    lines = content[:whole].splitlines()
    if not lines:
        _write(file, settings)
        return []
    try:
        made_with = json.loads(lines[0])
        changes = [
            f"{name} {made_with.get(name)}, not {value}"
            for name, value in settings.items()
            if made_with.get(name) != value
        ]
        records = [photo_from_json(line) for line in lines[1:]]
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged, or no journal of this program") from error
    if changes:
        raise InputError(f"{path.parent} was made with {', '.join(changes)}; use another folder")
    return records


def _write(file: IO[bytes], content: Mapping[str, Any]) -> None:
    try:
        file.write(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot write {file.name}: {error.strerror or error}") from error
