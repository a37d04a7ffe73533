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
    """The rows of the store of a folder, and of videos in progress that it does not list; with their frames so far."""
    from dataclasses import replace

    from revisage.jobs.store import FOLDER, Status, folder_beside, read_entries

    videos = {folder: _video_entry(output, folder) for folder in sorted(output.glob(f".?*{FOLDER}"))}
    try:
        for entry in read_entries(output):
            folder = folder_beside(output / entry.target)
            progress = videos.pop(folder, None) or (_video_entry(output, folder) if folder.is_dir() else None)
            if progress is not None and entry.status == Status.STARTED:
                yield replace(entry, details=progress.details)
            else:
                yield entry
    except InputError:
        if not any(videos.values()):
            raise
    yield from (entry for entry in videos.values() if entry is not None)


def _video_entry(output: Path, folder: Path) -> Entry | None:
    """A row for a video in progress, None if there is nothing in its folder."""
    import json as codec

    from revisage.jobs.store import FOLDER, Entry, Status, read_entries

    try:
        parts = list(read_entries(folder.parent, folder))
    except InputError:
        return None
    target = (folder.parent / folder.name[1 : -len(FOLDER)]).relative_to(output)
    frames = sum(codec.loads(part.details).get("frames", 0) for part in parts)
    source = parts[0].source if parts else str(target)
    details = codec.dumps({"frames": frames})
    return Entry(key=str(target), source=source, target=str(target), run=0, status=Status.STARTED, details=details)
