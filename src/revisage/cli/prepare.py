"""``revisage prepare``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.console import complain, say, say_how_to_resume, with_progress
from revisage.cli.options import Device

if TYPE_CHECKING:
    from revisage.training.prepare.photos import Outcome
    from revisage.training.prepare.records import PhotoRecord


def prepare(
    paths: Annotated[list[str], typer.Argument(help="Photos, folders (with all below), or quoted patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("prepared"),
    size: Annotated[str, typer.Option(help="Crop size in pixels; native: 512 or 256, as the photo has.")] = "512",
    format: Annotated[str, typer.Option(help="Crop format: png, or jpg (quality 95).")] = "png",
    min_width: Annotated[float, typer.Option(min=0, help="Minimum face width in pixels of the photo.")] = 128,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Minimum detection score.")] = 0.8,
    min_inside: Annotated[float, typer.Option(min=0, max=1, help="Minimum share of the crop in the photo.")] = 0.9,
    max_yaw: Annotated[float, typer.Option(min=0, help="Maximum head turn; clearly turned from 0.3.")] = 0.4,
    min_sharpness: Annotated[float, typer.Option(min=0, help="Minimum variance of the Laplacian at 256 pixels.")] = 25,
    min_brightness: Annotated[float, typer.Option(min=0, max=1, help="Minimum median luma of the face.")] = 0.08,
    max_overexposed: Annotated[float, typer.Option(min=0, max=1, help="Maximum share of nearly white face.")] = 0.25,
    duplicate_bits: Annotated[
        int, typer.Option(min=0, max=256, help="Maximum differing fingerprint bits of duplicates, of 256.")
    ] = 32,
    validation: Annotated[int, typer.Option(min=0, help="Number of photos to hold out, crops in OUTPUT/val.")] = 0,
    landmarks: Annotated[
        Path | None, typer.Option(help="Also write eye and mouth boxes to this classic .pth file.")
    ] = None,
    lmdb: Annotated[bool, typer.Option("--lmdb", help="Also write an LMDB of each folder of crops.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Photos processed in parallel; 0: one a processor.")] = 0,
    device: Device = "auto",
) -> None:
    """Make training faces from photos. They are aligned, filtered and listed, without duplicates.

    Crops go into OUTPUT/512, their measures, landmarks and boxes into manifest.csv, rejections with their reasons into
    rejected.csv. With --validation N, crops of N photos go into OUTPUT/val instead. Rerun the command to resume, or
    to take in photos that have been added.
    """
    from revisage.process import tune_process

    tune_process(1)  # the workers are the threads; before libraries load, which read some of it then
    from revisage.errors import InputError
    from revisage.jobs.collector import collect
    from revisage.training.prepare.records import Limits, Options

    if size != "native" and not (size.isdigit() and 16 <= int(size) <= 2048):
        raise InputError(f"--size takes a number from 16 to 2048, or native, not {size!r}")
    if format not in ("png", "jpg"):
        raise InputError(f"--format takes png or jpg, not {format!r}")
    limits = Limits(
        min_width=min_width,
        min_score=min_score,
        min_inside=min_inside,
        max_yaw=max_yaw,
        min_sharpness=min_sharpness,
        min_brightness=min_brightness,
        max_overexposed=max_overexposed,
    )
    options = Options(
        output=output,
        size=None if size == "native" else int(size),
        format=format,
        limits=limits,
        duplicate_bits=duplicate_bits,
        validation=validation,
        workers=workers or cpu_count() or 1,
        landmarks=landmarks,
        lmdb=lmdb,
    )
    sources = list(collect(paths, leave_out=output))  # wrong paths come to light before the network is loaded

    from revisage.auxiliary import load_detector
    from revisage.training.prepare.photos import prepare_photos

    outcomes = prepare_photos(load_detector(device=device), sources, options)
    with say_how_to_resume(), closing(outcomes):
        failed = _report(with_progress(outcomes, len(sources), "preparing"), output)
    raise typer.Exit(1 if failed else 0)


def _report(outcomes: Iterable[Outcome], output: Path) -> int:
    """Print a line for each photo as it comes, and closing ones; return how many photos failed."""
    photos: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    kept = 0
    for outcome in outcomes:
        if outcome.error:
            complain(outcome.error)
        elif outcome.record is not None:
            say(_line(outcome.path, outcome.record))
            kept += len(outcome.record.kept)
            reasons.update(outcome.record.rejections)
        photos["failed" if outcome.error else "done before" if outcome.before else "done"] += 1
    parts = [f"{photos[what]} {what}" for what in ("done", "done before", "failed") if photos[what]]
    say(f"{photos.total()} photos: {', '.join(parts)}; {kept} new crops in {output}")
    if reasons:
        say("rejected: " + ", ".join(f"{number} {reason}" for reason, number in reasons.most_common()))
    return photos["failed"]


def _line(path: Path, record: PhotoRecord) -> str:
    parts = [face.file for face in record.kept]
    parts += [f"{number} {reason}" for reason, number in Counter(record.rejections).most_common()]
    return f"{path}: {', '.join(parts)}"
