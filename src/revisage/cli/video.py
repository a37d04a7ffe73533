"""What ``revisage restore`` says about films: how far each is, and a line when it is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from revisage.cli.console import bar, complain, counted
from revisage.errors import InputError, OutputError, RevisageError

if TYPE_CHECKING:
    from revisage.restore.controls import Controls
    from revisage.restore.pipeline import Restorer
    from revisage.video.restore import VideoOutcome


def films_of(paths: Sequence[str]) -> list[str]:
    """Those of the paths that are files with the name of a film.

    Raises:
        InputError: there are some, but PyAV is not installed.
    """
    from importlib.util import find_spec

    from revisage.video.formats import has_video_name

    films = [path for path in dict.fromkeys(paths) if has_video_name(Path(path)) and Path(path).is_file()]
    if films and find_spec("av") is None:
        raise InputError(f"{films[0]} is a film; films need PyAV: pip install 'revisage[video]'")
    return films


def restore_films(
    restorer: Restorer, films: Sequence[str], output: Path, controls: Controls, *, suffix: str, overwrite: bool
) -> int:
    """Restore films one after the other, whatever goes wrong with one; return how many failed."""
    failed = 0
    taken: set[str] = set()
    for film in map(Path, films):
        target = _target(film, output, suffix)
        try:
            if os.path.realpath(target) in {os.path.realpath(film), *map(os.path.realpath, films), *taken}:
                raise OutputError(f"{film}: the result would replace {target}; use another folder or --suffix")
            taken.add(os.path.realpath(target))
            if target.exists() and not overwrite:
                print(f"{film}: skipped, {target} exists already (--overwrite replaces it)", flush=True)
                continue
            _say(film, _restore(restorer, film, target, controls, overwrite))
        except RevisageError as error:
            complain(str(error))
            failed += 1
        except KeyboardInterrupt:
            complain(f"{film}: interrupted; the same command goes on where it was")
            raise
    return failed


def _target(film: Path, output: Path, suffix: str) -> Path:
    from revisage.video.formats import result_name

    name = Path(result_name(film))
    return output / (f"{name.stem}_{suffix}{name.suffix}" if suffix else name)


def _restore(restorer: Restorer, film: Path, target: Path, controls: Controls, overwrite: bool) -> VideoOutcome:
    from revisage.video.restore import restore_video

    with bar(f"restoring {film.name}") as progress:
        task = progress.add_task("", total=None)

        def begin(done: int, total: int) -> None:
            # What an earlier run did must not count as speed.
            progress.reset(task, completed=done, total=max(total, done) or None)

        def move(done: int, total: int) -> None:
            progress.update(task, completed=done, total=max(total, done) or None)

        moves = iter([begin])
        return restore_video(
            restorer,
            film,
            target,
            controls,
            overwrite=overwrite,
            progress=lambda done, total: next(moves, move)(done, total),
        )


def _say(film: Path, outcome: VideoOutcome) -> None:
    counts = outcome.counts
    line = f"{film} -> {outcome.target}: {counted(counts.frames, 'frame')}, {counted(counts.found, 'face')}"
    if counts.found:
        line += f", {counts.restored} restored, of {counted(len(counts.people), 'track')}"
    if counts.failed:
        line += f", {counts.failed} failed"
    print(line, flush=True)
    for warning in outcome.warnings:
        print(f"warning: {warning}", file=sys.stderr)
