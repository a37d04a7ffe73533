"""Output of ``revisage restore``: a line for each image and video as it is finished, and a closing one."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from revisage.cli.console import complain, counted, progress_bar, say, say_how_to_resume, warn
from revisage.cli.json_output import print_json
from revisage.errors import InputError, OutputError
from revisage.jobs.json_fields import outcome_fields, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.progress import Progress

    from revisage.batch import Options, Outcome, Sources

    Run = Callable[..., Generator[Outcome]]
    from revisage.restore.controls import Controls
    from revisage.restore.pipeline import Restorer


def require_pyav(sources: Sources) -> None:
    """Check that videos can be read if one was named (InputError: PyAV is not installed)."""
    from revisage.jobs.collector import Kind, kind_by_name

    for path in sources.inputs:
        if kind_by_name(path) is Kind.VIDEO and path.is_file() and find_spec("av") is None:
            raise InputError(f"{path} is a video; videos need PyAV: pip install 'revisage[video]'")


def restore_files(
    restorer: Restorer,
    sources: Sources,
    options: Options,
    *,
    resume: bool,
    as_json: bool = False,
    run: Run | None = None,
) -> int:
    """Restore images and videos with a line, or a JSON object, for each; return how many failed.

    With ``resume``, videos go on where an interrupted run stopped. ``run`` restores the files elsewhere.
    """
    from revisage import batch
    from revisage.jobs.collector import Kind, kind_by_content, kind_by_name
    from revisage.types import LITTLE_CHANGE, FaceStatus

    results: Counter[str] = Counter()
    files: Counter[str] = Counter()
    changes: list[float] = []
    found = lacking = 0
    with say_how_to_resume(), progress_bar() as bar:
        restore_video = partial(_restore_video, bar, resume, options.strict)
        task = bar.add_task("restoring", total=None)

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        here = partial(batch.restore_files, restorer, restore_video=restore_video)
        with closing((run or here)(sources, options, progress=move)) as outcomes:
            for outcome in outcomes:
                if as_json:
                    print_json(outcome_fields(outcome))
                if outcome.error:
                    complain(outcome.error)
                elif not as_json:
                    say(_line(outcome), only_verbose=outcome.up_to_date)
                for warning in outcome.warnings:
                    warn(warning)
                results[status_of(outcome)] += 1
                lacking += outcome.up_to_date and bool(outcome.left_out)
                is_video = (kind_by_name(outcome.path) or kind_by_content(outcome.path)) is Kind.VIDEO
                files["video" if is_video else "photo"] += 1
                if not is_video:
                    found += outcome.found
                    changes += [face.change for face in outcome.faces if face.status is FaceStatus.RESTORED]
    _name_unreadable(sources)
    kinds = " and ".join(counted(number, kind) for kind, number in sorted(files.items()))
    parts = [f"{results[name]} {name}" for name in ("done", "up to date", "skipped", "failed") if results[name]]
    line = f"{kinds}: {', '.join(parts)}"
    if lacking:
        line += f"; {lacking} of earlier runs with something left out"
    if found:
        line += f"; {len(changes)} of {counted(found, 'face')} restored"
    if changes:
        mean = sum(changes) / len(changes)
        line += f", changed by {mean:.1f} of 255 on average{': little to restore' if mean < LITTLE_CHANGE else ''}"
    if not as_json:
        say(f"{line}; results in {options.output}")
    return results["failed"]


def check_space(sources: Sources, options: Options) -> None:
    """Check that the disk has room for all results together (OutputError: it has not)."""
    from revisage import batch

    def video_bytes(path: Path, scale: float) -> int:
        if find_spec("av") is None:  # will be said when the video is read
            return 0
        from revisage.video.planning import estimate_bytes

        return estimate_bytes(path, scale)

    batch.check_space(sources, options, video_bytes)


def check_files(restorer: Restorer, sources: Sources, options: Options, *, as_json: bool = False) -> bool:
    """Print a line for each image and video that says where its result would go, and what that would lack.

    Returns whether anything would fail, for want of room on the disk, too.
    """
    from revisage import batch
    from revisage.batch.photos import read_checked
    from revisage.images.write import find_left_out
    from revisage.jobs.collector import Kind

    def check(source: batch.Source, target: Path, controls: Controls) -> tuple[str, ...]:
        if source.kind is not Kind.VIDEO:
            read_checked(source.path, target, options)
            return () if options.strict else find_left_out(source.path, target.suffix)
        from revisage.video.restore import plan_video

        return plan_video(source.path, target, controls, strict=options.strict).left_out

    counts: Counter[str] = Counter()
    for outcome in batch.check_files(restorer, sources, options, check):
        if as_json:
            print_json(outcome_fields(outcome))
        if outcome.error:
            complain(outcome.error)
        elif not as_json:
            lacks = f"; would leave out: {', '.join(outcome.left_out)}" if outcome.left_out else ""
            say(_skipped(outcome) if outcome.exists else f"{outcome.path} -> {outcome.target}{lacks}")
        counts["fail" if outcome.error else "be skipped" if outcome.exists else "be restored"] += 1
    _name_unreadable(sources)
    try:
        check_space(sources, options)
    except OutputError as error:
        complain(str(error))
        failed = True
    else:
        failed = counts["fail"] > 0
    parts = [f"{counts[name]} would {name}" for name in ("be restored", "be skipped", "fail") if counts[name]]
    if not as_json:
        say(f"{counted(counts.total(), 'file')}{': ' if parts else ''}{', '.join(parts)}")
    return failed


def _name_unreadable(sources: Sources) -> None:
    """Print how many files of the searched folders have formats that are not read."""
    from revisage.jobs.collector import Sources, count_unreadable

    found = count_unreadable(sources) if isinstance(sources, Sources) else {}  # pyright: ignore[reportUnnecessaryIsInstance]
    if found:
        kinds = ", ".join(f"{number} {extension}" for extension, number in sorted(found.items()))
        warn(f"left out, as these formats are not read: {kinds}")


def _restore_video(
    bar: Progress,
    resume: bool,
    strict: bool,
    restorer: Restorer,
    source: Path,
    target: Path,
    controls: Controls,
    *,
    overwrite: bool,
) -> Outcome:
    """Restore a video with a second bar that counts its frames."""
    from revisage.video.restore import restore_video

    task = bar.add_task(source.name, total=None)

    def begin(done: int, total: int) -> None:
        # Frames that an earlier run finished must not count as speed.
        bar.reset(task, completed=done, total=max(total, done) or None)

    def move(done: int, total: int) -> None:
        bar.update(task, completed=done, total=max(total, done) or None)

    moves = iter([begin])
    try:
        return restore_video(
            restorer,
            source,
            target,
            controls,
            overwrite=overwrite,
            resume=resume,
            strict=strict,
            progress=lambda done, total: next(moves, move)(done, total),
        )
    finally:
        bar.remove_task(task)


def _skipped(outcome: Outcome) -> str:
    why = "is up to date" if outcome.up_to_date else "exists already (--overwrite replaces it)"
    return f"{outcome.path}: skipped, {outcome.target} {why}"


def _line(outcome: Outcome) -> str:
    from revisage.types import LITTLE_CHANGE, FaceStatus

    if outcome.exists:
        return _skipped(outcome)
    frames = f"{counted(outcome.frames, 'frame')}, " if outcome.frames else ""
    note = f" ({outcome.note})" if outcome.note else ""
    line = f"{outcome.path} -> {outcome.target}{note}: {frames}{counted(outcome.found, 'face')}"
    if outcome.found:
        line += f", {outcome.restored} restored"
        little = sum(face.change < LITTLE_CHANGE for face in outcome.faces if face.status is FaceStatus.RESTORED)
        if little:
            line += " (little to restore)" if little == outcome.restored else f" ({little} with little to restore)"
    if outcome.tracks:
        line += f", of {counted(outcome.tracks, 'track')}" + (f", {outcome.failed} failed" if outcome.failed else "")
    if outcome.skipped:
        reasons = Counter(outcome.skipped).most_common()
        named = [f"{number} x {reason}" if number > 1 else reason for reason, number in reasons[:3]]
        more = ["..."] if len(reasons) > 3 else []
        line += f", {len(outcome.skipped)} skipped ({'; '.join(named + more)})"
    if outcome.left_out:
        line += f"; left out: {', '.join(outcome.left_out)}"
    return line
