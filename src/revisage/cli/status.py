"""``revisage status``."""

from __future__ import annotations

import json as codec
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revisage.cli.console import counted
from revisage.cli.json_output import print_json
from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.jobs.store import Entry, Run


def status(
    output: Annotated[Path, typer.Argument(help="Folder of the results of `revisage restore` or `prepare`.")],
    summary: Annotated[bool, typer.Option("--summary", help="Only the last line, or one JSON object.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each image or video.")] = False,
) -> None:
    """Show the status of a batch run. Says how many files are done and why others failed, also during the run.

    The last line says how many of all files are done, failed or skipped, how many results lack something, whether the
    run is at work, how quickly, and how long the rest will take; of videos in progress how many frames are done. The
    exit code is 1 if something failed.
    """
    from dataclasses import asdict

    from revisage.jobs.collector import kind_by_name
    from revisage.jobs.store import FOLDER, Status, read_run

    files: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    lacking = 0
    for entry in _entries(output):
        statuses[entry.status] += 1
        files["video" if kind_by_name(Path(entry.source)) == "video" else "photo"] += 1
        details: dict[str, Any] = codec.loads(entry.details)
        lacking += bool(details.get("left_out"))
        if summary:
            continue
        if json:
            print_json({**asdict(entry), "details": details})
        elif entry.status == Status.FAILED:
            print(entry.reason)
        elif entry.status == Status.STARTED and "frames" in details:
            print(f"{entry.target}: {_progress(details)}")
    run = read_run(output)
    if summary and json:
        counts = {name: statuses[name] for name in Status}
        print_json({**counts, **asdict(run), "total": max(run.total, files.total()), "left_out": lacking})
    elif not json:
        kinds = " and ".join(counted(number, kind) for kind, number in sorted(files.items()))
        of_all = f" of {run.total}" if run.total > files.total() else ""
        parts = [f"{statuses[name]} {name}" for name in Status if statuses[name]]
        state = [f"{lacking} with something left out"] if lacking else []
        state += [_state(run, statuses[Status.STARTED])] if (output / FOLDER).is_dir() else []
        ending = f"; {'; '.join(state)}" if state else ""
        print(f"{kinds or counted(0, 'photo')}{of_all}{': ' if parts else ''}{', '.join(parts)}{ending}")
    if statuses[Status.FAILED]:
        raise typer.Exit(1)


def _state(run: Run, started: int) -> str:
    """Whether a run is at work, how quickly, and how long the rest will take."""
    if not run.is_open:
        is_complete = run.seen >= run.total and not started
        return "finished" if is_complete else "not running (rerun the command to resume)"
    parts = ["running"]
    if run.seconds and run.seen:
        parts.append(f"{run.seen / run.seconds:.3g} a second")
        if run.total > run.seen:
            parts.append(f"{timedelta(seconds=round((run.total - run.seen) * run.seconds / run.seen))} left")
    return ", ".join(parts)


def _progress(details: dict[str, Any]) -> str:
    """How far a video is: frames done, of all; frames a second; time left; whether a run is at work."""
    frames, total, seconds = details["frames"], details.get("total", 0), details.get("seconds", 0)
    parts = [f"{frames} of {counted(total, 'frame')} done" if total else f"{counted(frames, 'frame')} done"]
    if seconds:
        parts.append(f"{frames / seconds:.3g} a second")
    if seconds and total > frames:
        parts.append(f"{timedelta(seconds=round((total - frames) * seconds / frames))} left")
    if not details.get("running"):
        parts.append("not running (rerun the command to resume)")
    return ", ".join(parts)


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
    """How many frames of a video in progress are done, of how many, in which time, as details of a row."""
    from revisage.jobs.database import is_open
    from revisage.jobs.store import read_entries

    try:
        parts = list(read_entries(folder, folder))
        details = [codec.loads(part.details) for part in parts]
        frames, total = sum(one["frames"] for one in details), max((one.get("total", 0) for one in details), default=0)
    except (InputError, ValueError, KeyError):
        return "{}"
    seconds = round(sum(part.seconds for part in parts), 3)
    return codec.dumps({"frames": frames, "total": total, "seconds": seconds, "running": is_open(folder)})
