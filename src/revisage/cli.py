"""The command ``revisage``. Heavy imports happen inside the commands, so that ``--help`` is quick.

Exit codes: 0 all well; 1 something failed, a photo say; 2 a wrong call: bad options, no input, nothing matches;
130 interrupted. Failures are one line each on stderr.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.errors import DeviceError, InputError, RevisageError, UnknownModelError

if TYPE_CHECKING:
    from revisage.batch import Outcome

app = typer.Typer(
    help="Restores the faces in photos, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, xpu or mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    warnings.filterwarnings("ignore", module="PIL")  # about oddities in metadata of photos that are otherwise fine
    try:
        app()
    except RevisageError as error:
        _complain(str(error))
        sys.exit(2 if isinstance(error, InputError | UnknownModelError | DeviceError) else 1)


def _complain(line: str) -> None:
    print(f"error: {line}", file=sys.stderr)


def _show_version(wanted: bool) -> None:
    if wanted:
        from revisage import __version__

        print(f"revisage {__version__}")
        raise typer.Exit


@app.callback()
def revisage(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Restores the faces in photos, offline."""


@app.command()
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

    options = Options(
        output=output,
        scale=scale,
        strength=strength,
        aligned=aligned,
        only_center_face=only_center_face,
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
    outcomes = restore_files(load(model, device=device, dtype=dtype), sources, options)
    failed = _report(_with_progress(outcomes, len(sources)), output)
    raise typer.Exit(1 if failed else 0)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe.")],
    run: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME of the recipe if not given.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a setting: a.b=value.")] = None,
    device: Device = "auto",
) -> None:
    """Train a network as a recipe says; the same command goes on with a run that was interrupted."""
    from revisage.device import choose
    from revisage.train.loop import train as train_recipe
    from revisage.train.recipe import read_recipe

    settings = read_recipe(recipe, set_ or ())
    weights = train_recipe(settings, run or Path("runs") / settings.name, device=str(choose(device).device))
    print(f"weights: {weights}")


@app.command()
def models() -> None:
    """List the models that have a name."""
    from revisage.zoo import MODELS, weight_file

    width = max(map(len, MODELS)) + 2
    for name, spec in MODELS.items():
        size = f"{weight_file(name).stat().st_size / 1e6:.1f} MB"
        print(f"{name:<{width}}{spec.role} ({spec.architecture}, {size})")
        print(f"{'':<{width}}code {spec.licence.code}, weights {spec.licence.weights}; trained on {spec.licence.data}")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A weight file: .safetensors, .pth, .pt or .ckpt.")],
    target: Annotated[Path, typer.Argument(help="The file to write: .safetensors or .pth.")],
    averaged: Annotated[
        bool | None,
        typer.Option("--ema/--raw", help="Which of two sets of weights; averaged ones (EMA) if there are any."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16.")] = False,
    to_clean: Annotated[bool, typer.Option("--to-clean", help="Convert GFPGANBilinear to GFPGANv1Clean.")] = False,
    architecture: Annotated[
        str | None, typer.Option(help="GFPGANBilinear for weights that would be taken for GFPGANv1: keys are the same.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists already.")] = False,
) -> None:
    """Convert weights between .safetensors and the .pth files of other programs."""
    from revisage.convert import convert as convert_weights

    done = convert_weights(
        source,
        target,
        choice=None if averaged is None else "params_ema" if averaged else "params",
        half=half,
        clean=to_clean,
        architecture=architecture,
        overwrite=overwrite,
    )
    print(f"{source} -> {target}: {done.architecture}, {done.values / 1e6:.1f} M values, {done.size / 1e6:.1f} MB")


@app.command()
def doctor(device: Device = "auto", dtype: Dtype = "auto") -> None:
    """Say what is installed, which devices there are, and what would be used and why."""
    from revisage.doctor import examine

    facts, faults = examine(device, dtype)
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        print(f"{label:<{width}}  {value}")
    for fault in faults:
        _complain(fault)
    raise typer.Exit(1 if faults else 0)


def _with_progress(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """The same outcomes; on a terminal with a progress bar below the lines that are printed meanwhile."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("restoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        yield from progress.track(outcomes, total=total)


def _report(outcomes: Iterable[Outcome], output: Path) -> int:
    """Print a line for each photo as it comes and a closing one; return how many photos failed."""
    photos: Counter[str] = Counter()
    found = restored = 0
    for outcome in outcomes:
        if outcome.error:
            _complain(outcome.error)
        else:
            print(_line(outcome), flush=True)
        photos["failed" if outcome.error else "skipped" if outcome.exists else "done"] += 1
        found, restored = found + outcome.found, restored + outcome.restored
    parts = [f"{photos[what]} {what}" for what in ("done", "skipped", "failed") if photos[what]]
    line = f"{_count(photos.total(), 'photo')}: {', '.join(parts)}"
    if found:
        line += f"; {restored} of {_count(found, 'face')} restored"
    print(f"{line}; results in {output}")
    return photos["failed"]


def _line(outcome: Outcome) -> str:
    if outcome.exists:
        return f"{outcome.path}: skipped, {outcome.target} exists already (--overwrite replaces it)"
    line = f"{outcome.path} -> {outcome.target}: {_count(outcome.found, 'face')}"
    if outcome.found:
        line += f", {outcome.restored} restored"
    if outcome.skipped:
        reasons = Counter(outcome.skipped).most_common()
        shown = [f"{number} x {reason}" if number > 1 else reason for reason, number in reasons[:3]]
        more = ["..."] if len(reasons) > 3 else []
        line += f", {len(outcome.skipped)} skipped ({'; '.join(shown + more)})"
    return line


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
