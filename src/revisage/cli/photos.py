"""What ``revisage restore`` says about photos: a line for each as it comes, and a closing one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

from revisage.cli.console import complain, counted, with_progress

if TYPE_CHECKING:
    from revisage.batch import Options, Outcome, Sources
    from revisage.restore.pipeline import Restorer


def restore_photos(restorer: Restorer, sources: Sources, options: Options) -> int:
    """Restore photos with a line for each; return how many failed."""
    from revisage.batch import restore_files

    with closing(restore_files(restorer, sources, options)) as outcomes:
        photos, faces = _say(outcomes, sources)
    parts = [f"{photos[what]} {what}" for what in ("done", "skipped", "failed") if photos[what]]
    line = f"{counted(photos.total(), 'photo')}: {', '.join(parts)}"
    if faces["found"]:
        line += f"; {faces['restored']} of {counted(faces['found'], 'face')} restored"
    print(f"{line}; results in {options.output}")
    return photos["failed"]


def _say(outcomes: Generator[Outcome], sources: Sources) -> tuple[Counter[str], Counter[str]]:
    """Print the lines; count what became of the photos and of their faces."""
    photos: Counter[str] = Counter()
    faces: Counter[str] = Counter()
    for outcome in with_progress(outcomes, sources, "restoring"):
        if outcome.error:
            complain(outcome.error)
        else:
            print(_line(outcome), flush=True)
        photos["failed" if outcome.error else "skipped" if outcome.exists else "done"] += 1
        faces.update(found=outcome.found, restored=outcome.restored)
    return photos, faces


def _line(outcome: Outcome) -> str:
    if outcome.up_to_date:
        return f"{outcome.path}: skipped, {outcome.target} is up to date"
    if outcome.exists:
        return f"{outcome.path}: skipped, {outcome.target} exists already (--overwrite replaces it)"
    line = f"{outcome.path} -> {outcome.target}: {counted(outcome.found, 'face')}"
    if outcome.found:
        line += f", {outcome.restored} restored"
    if outcome.skipped:
        reasons = Counter(outcome.skipped).most_common()
        shown = [f"{number} x {reason}" if number > 1 else reason for reason, number in reasons[:3]]
        more = ["..."] if len(reasons) > 3 else []
        line += f", {len(outcome.skipped)} skipped ({'; '.join(shown + more)})"
    return line
