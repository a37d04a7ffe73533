"""``revisage status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revisage.cli.console import counted
from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.jobs.store import Entry


def status(
    output: Annotated[Path, typer.Argument(help="Folder of the results of `revisage restore` or `prepare`.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each image or video.")] = False,
) -> None:
    """Show the status of a batch run, also while it is running: how many files are done, and why others failed."""
    import json as codec
    from dataclasses import asdict

    from revisage.jobs.collector import kind_by_name
    from revisage.jobs.store import Status

    files: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for entry in _entries(output):
        statuses[entry.status] += 1
        files["video" if kind_by_name(Path(entry.source)) == "video" else "photo"] += 1
        details: dict[str, Any] = codec.loads(entry.details)
        if json:
            print(codec.dumps({**asdict(entry), "details": details}))
        elif entry.status == Status.FAILED:
            print(entry.reason)
        elif entry.status == Status.STARTED and details.get("frames"):
            print(f"{entry.target}: {counted(details['frames'], 'frame')} done")
    if not json:
        kinds = " and ".join(counted(number, kind) for kind, number in sorted(files.items()))
        parts = [f"{statuses[name]} {name}" for name in Status if statuses[name]]
        print(f"{kinds or counted(0, 'photo')}{': ' if parts else ''}{', '.join(parts)}")


def _entries(output: Path) -> Iterator[Entry]:
    """The rows of the store of a folder, and of single videos in progress; with the frames done so far."""
    from dataclasses import replace

    from revisage.jobs.store import FOLDER, Entry, Status, folder_beside, read_entries

    videos = {folder: output / folder.name[1 : -len(FOLDER)] for folder in sorted(output.glob(f".?*{FOLDER}"))}
    try:
        for entry in read_entries(output):
            folder = folder_beside(output / entry.target)
            videos.pop(folder, None)
            if entry.status == Status.STARTED and folder.is_dir():
                entry = replace(entry, details=_frames(folder))
            yield entry
    except InputError:
        if not videos:
            raise
    for folder, target in videos.items():
        name = target.name
        yield Entry(key=name, source=name, target=name, run=0, status=Status.STARTED, details=_frames(folder))


def _frames(folder: Path) -> str:
    """How many frames of a video in progress are done, as details of a row."""
    import json as codec

    from revisage.jobs.store import read_entries

    try:
        frames = sum(codec.loads(part.details)["frames"] for part in read_entries(folder, folder))
    except (InputError, ValueError, KeyError):
        return "{}"
    return codec.dumps({"frames": frames})
