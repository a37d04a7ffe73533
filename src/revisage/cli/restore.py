"""``revisage restore``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.console import complain, counted, with_progress
from revisage.cli.options import Architecture, Device, Dtype, Offline

if TYPE_CHECKING:
    from revisage.batch import Outcome


def restore(
    paths: Annotated[list[str], typer.Argument(help="Photos, folders (with all below), or quoted patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("restored"),
    scale: Annotated[float, typer.Option(min=0.1, max=8, help="Sides of the result over sides of the photo.")] = 2.0,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 leaves faces alone, 1 restores fully.")] = 1.0,
    aligned: Annotated[bool, typer.Option("--aligned", help="Each photo is one aligned face.")] = False,
    only_center_face: Annotated[
        bool, typer.Option("--only-center-face", help="Restore only the face nearest to the middle.")
    ] = False,
    model: Annotated[str, typer.Option(help="A name from `revisage models`, or a weight file.")] = "embedded",
    architecture: Architecture = None,
    offline: Offline = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    suffix: Annotated[str, typer.Option(help="Results are called NAME_SUFFIX.")] = "",
    format: Annotated[str, typer.Option(help="jpg, png, tif, webp, avif or bmp; auto: that of the photo.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
    save_faces: Annotated[
        bool, typer.Option("--save-faces", help="Also write every face: before, after, side by side.")
    ] = False,
) -> None:
    """Restore the faces in photos.

    Results go into the output folder under the names of the photos; with --save-faces into its subfolders
    restored_imgs, cropped_faces, restored_faces and cmp. Originals are never touched.
    """
    from revisage.batch import Options, collect, plan, restore_files
    from revisage.controls import Controls

    options = Options(
        output=output,
        controls=Controls(scale=scale, strength=strength, aligned=aligned, only_center_face=only_center_face),
        suffix=suffix,
        format=None if format == "auto" else format.lower().lstrip("."),
        overwrite=overwrite,
        save_faces=save_faces,
    )
    sources = collect(paths, leave_out=output)
    plan(sources, options)  # wrong options come to light before the networks are loaded

    from revisage.allocator import keep_freed_memory
    from revisage.zoo import load

    keep_freed_memory()
    outcomes = restore_files(
        load(model, device=device, dtype=dtype, architecture=architecture, offline=offline or None), sources, options
    )
    failed = _report(with_progress(outcomes, len(sources), "restoring"), output)
    raise typer.Exit(1 if failed else 0)


def _report(outcomes: Iterable[Outcome], output: Path) -> int:
    """Print a line for each photo as it comes and a closing one; return how many photos failed."""
    photos: Counter[str] = Counter()
    found = restored = 0
    for outcome in outcomes:
        if outcome.error:
            complain(outcome.error)
        else:
            print(_line(outcome), flush=True)
        photos["failed" if outcome.error else "skipped" if outcome.exists else "done"] += 1
        found, restored = found + outcome.found, restored + outcome.restored
    parts = [f"{photos[what]} {what}" for what in ("done", "skipped", "failed") if photos[what]]
    line = f"{counted(photos.total(), 'photo')}: {', '.join(parts)}"
    if found:
        line += f"; {restored} of {counted(found, 'face')} restored"
    print(f"{line}; results in {output}")
    return photos["failed"]


def _line(outcome: Outcome) -> str:
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
