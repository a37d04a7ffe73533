"""What became of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo.

    Attributes:
        path: the source.
        target: the restored photo, None if none was written.
        found: how many faces were found.
        restored: how many of them were restored.
        skipped: for each of the others one line that says why.
        exists: the photo was left out because its result exists already.
        up_to_date: and that result is known to be what this run would make: the journal says so.
        error: one line that names the file if something went wrong, else "". There may be a target all the same: one in
            which some face failed.
    """

    path: Path
    target: Path | None = None
    found: int = 0
    restored: int = 0
    skipped: tuple[str, ...] = ()
    exists: bool = False
    up_to_date: bool = False
    error: str = ""
