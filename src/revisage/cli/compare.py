"""``revisage compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from revisage.cli import options as opt
from revisage.cli.console import complain, counted, say, warn, with_progress
from revisage.errors import InputError, OutputError

if TYPE_CHECKING:
    from revisage.comparison.versions import Row
    from revisage.jobs.collector import Source

    Task: TypeAlias = tuple[Path, Callable[[], Row]]

PAGES = (".html", ".htm")


@opt.with_controls()
def compare(
    paths: Annotated[
        list[Path], typer.Argument(help="A photo or folder to restore; or two and more that are versions.")
    ],
    controls: opt.GivenControls,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="FILE.html for a page with sliders; FILE.png for a grid.")
    ] = Path("comparison.html"),
    strengths: Annotated[str, typer.Option(help="Strengths to compare: 0.25,0.5,1 [default: --strength].")] = "",
    models: Annotated[str, typer.Option(help="Models to compare: names or files, with commas between.")] = "embedded",
    close_up: Annotated[bool, typer.Option("--close-up", help="Show each face instead of the whole photo.")] = False,
    labels: Annotated[
        str | None, typer.Option(help="Labels, with commas between [default: made from names]; '' for none.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=16, help="Longer side of an image [default: 1024; --close-up: 512].")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of photos.")] = 20,
    detector: opt.Detector = "embedded-detector",
    background: opt.Background = "auto",
    offline: opt.Offline = False,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
) -> None:
    """Compare versions of photos side by side. Before and after, several strengths, or several models.

    One input, a photo or a folder, is restored here, by every model at every strength. Several inputs are versions of
    the same images, the original first: files, or folders with images of equal names.

    The page is one file: it loads nothing, and its sliders work by mouse, touch and keyboard.
    """
    from revisage.process import tune_process

    tune_process(threads)  # before other imports: some settings are read when libraries load
    _check_output(output, paths)
    where: dict[str, Any] = {"device": device, "offline": offline or None}
    if len(paths) == 1:
        loading = where | {"dtype": dtype, "detector": detector, "background": background}
        names, tasks = _plan_restoring(paths[0], controls, _split(strengths), _split(models), loading)
    elif strengths or models != "embedded" or controls.values:
        raise InputError("several inputs are versions that exist; to restore several photos, give their folder")
    else:
        names, tasks = _plan_reading(paths, where | {"model": detector} if close_up else None)
    if labels is not None:
        names = _relabel(labels, names, is_page=_is_page(output))
    if len(tasks) > limit:
        warn(f"only {limit} of {len(tasks)} photos are shown; --limit shows more")
    rows, failed = _make_rows(tasks[:limit], close_up, size)
    if not rows and failed:
        raise typer.Exit(1)
    if not rows:
        raise InputError(f"nothing to compare: no face is found in {', '.join(map(str, paths))}")
    _write(output, names, rows)
    count = counted(len(rows[0].images), "version")
    say(f"{counted(len(rows), 'face' if close_up else 'photo')} in {count} -> {output}")
    raise typer.Exit(1 if failed else 0)


def _check_output(output: Path, paths: Sequence[Path]) -> None:
    """Find out before any work whether the comparison can be written there."""
    from revisage.images import FORMATS, WRITABLE

    known = FORMATS.get(output.suffix.lower())
    if not _is_page(output) and not (known and known.writable):
        raise OutputError(f"cannot write {output}: a comparison is .html, or an image of the formats {WRITABLE}")
    if output.exists() and any(path.exists() and path.samefile(output) for path in paths):
        raise OutputError(f"{output} is one of the inputs; give the comparison another name (-o)")


def _plan_restoring(
    path: Path, controls: opt.GivenControls, strengths: Sequence[str], models: Sequence[str], networks: dict[str, Any]
) -> tuple[list[str], list[Task]]:
    """Labels of the versions of a photo or folder that are to be made, and for each photo a function that does."""
    from revisage.comparison.versions import ORIGINAL, Version, restore_versions
    from revisage.images import read_photo
    from revisage.jobs.collector import collect
    from revisage.loading import load

    base = controls.to_controls()
    by_strength = [(text, replace(base, strength=_number(text))) for text in strengths] or [("", base)]
    sources = list(collect([path]))
    versions: list[Version] = []
    for model in models:
        restorer = load(model, **networks)
        name = Path(model).stem if Path(model).is_file() else model
        for text, changed in by_strength:
            parts = [*([name] if len(models) > 1 else []), *([f"strength {text}"] if text else [])]
            label = ", ".join(parts) or "restored"
            versions.append(Version(label, restorer, restorer.resolve(changed)))

    def restore(source: Source) -> Row:
        if source.fault:
            raise InputError(source.fault)
        return restore_versions((source.below / source.path.name).as_posix(), read_photo(source.path), versions)

    labels = [ORIGINAL, *(version.label for version in versions)]
    return labels, [(source.path, partial(restore, source)) for source in sources]


def _plan_reading(paths: Sequence[Path], detector: dict[str, Any] | None) -> tuple[list[str], list[Task]]:
    """Labels of versions that exist, and for each image a function that reads them."""
    from revisage.auxiliary import load_detector
    from revisage.comparison.versions import match_versions, name_versions, read_versions

    found, incomplete = match_versions(paths)
    if incomplete:
        more = " ..." if len(incomplete) > 3 else ""
        warn(f"{counted(len(incomplete), 'image')} not in every folder: {', '.join(incomplete[:3])}{more}")
    find = None if detector is None else load_detector(**detector)
    return name_versions(paths), [
        (files[0], partial(read_versions, name, files, find)) for name, files in found.items()
    ]


def _make_rows(tasks: Sequence[Task], close_up: bool, size: int | None) -> tuple[list[Row], int]:
    """The rows to show, and the number of photos that failed, each with a line."""
    from revisage.comparison.versions import close_ups, fit
    from revisage.errors import fault_of

    rows: list[Row] = []
    failed = 0
    for path, make in with_progress(tasks, len(tasks), "comparing"):
        try:
            row = make()
            rows += close_ups(row, size or 512) if close_up else [fit(row, size or 1024)]
        except Exception as error:  # one that cannot be read must not cost the others
            failed += 1
            complain(fault_of(path, error))
    return rows, failed


def _write(output: Path, labels: Sequence[str], rows: Sequence[Row]) -> None:
    from revisage.comparison.grid import draw_grid
    from revisage.comparison.page import QUALITY, render_page
    from revisage.files import atomic_write
    from revisage.images import write_image

    if not _is_page(output):
        write_image(output, draw_grid(labels, rows), quality=QUALITY)
        return
    title = f"{rows[0].name}: {' and '.join(labels)}" if len(rows) == 1 and len(labels) == 2 else "Comparison"
    page = render_page(title, labels, rows)
    with atomic_write(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _relabel(labels: str, names: Sequence[str], *, is_page: bool) -> list[str]:
    given = _split(labels)
    if not given and not is_page:
        return []
    if len(given) != len(names):
        raise InputError(f"{counted(len(given), 'label')} for {counted(len(names), 'version')}: {', '.join(names)}")
    return given


def _is_page(output: Path) -> bool:
    return output.suffix.lower() in PAGES


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--strengths are numbers such as 0.25,0.5,1, not {text!r}") from error
