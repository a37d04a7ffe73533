"""The command ``revisage``: a file for each of its commands.

Heavy imports happen inside the commands, so that ``--help`` is quick.

Exit codes: 0 all well; 1 something failed, a photo say; 2 a wrong call: bad options, no input, nothing matches;
130 interrupted, by Ctrl-C or SIGTERM. Failures are one line each on stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Annotated

import typer

from revisage.cli.bench import bench
from revisage.cli.classic import modern
from revisage.cli.compare import compare
from revisage.cli.console import complain, warn
from revisage.cli.convert import convert
from revisage.cli.degrade import degrade
from revisage.cli.detect import detect
from revisage.cli.doctor import doctor
from revisage.cli.evaluate import evaluate
from revisage.cli.export import export
from revisage.cli.fetch import fetch
from revisage.cli.models import models
from revisage.cli.options import with_output
from revisage.cli.plot import plot
from revisage.cli.prepare import prepare
from revisage.cli.restore import restore
from revisage.cli.serve import serve
from revisage.cli.status import status
from revisage.cli.suggestions import Command, Group
from revisage.cli.train import train
from revisage.errors import DeviceError, InputError, RevisageError, UnknownModelError

EXTRAS = {
    **dict.fromkeys(("torch", "safetensors"), "torch"),
    **dict.fromkeys(("lmdb", "tensorboard"), "train"),
    **dict.fromkeys(("fastapi", "uvicorn", "gradio", "prometheus_client"), "serve"),
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    "av": "video",
    "matplotlib": "plots",
    "pillow_heif": "heif",
    "ray": "scale",
    "spandrel": "spandrel",
}
"""Packages that a plain installation lacks -> the extra that brings them."""

app = typer.Typer(
    cls=Group,
    help="Restores the faces in photos, offline.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    signal.signal(signal.SIGTERM, _interrupt)  # what stops a service or a batch job: leave as tidily as after Ctrl-C
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # its warnings of damaged images would come beside our line
    warnings.filterwarnings("ignore", module="PIL")  # about oddities in metadata of photos that are otherwise fine
    warnings.showwarning = _show_warning
    try:
        app(_help_first(modern(sys.argv[1:])), prog_name="revisage")
    except RevisageError as error:
        complain(str(error))
        sys.exit(2 if isinstance(error, InputError | UnknownModelError | DeviceError) else 1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        command = next((word for word in sys.argv[1:] if not word.startswith("-")), "this")
        extra = "train" if command == "train" else EXTRAS[package]
        complain(f"{command} needs {package}: pip install 'revisage[{extra}]'")
        sys.exit(2)


def _help_first(arguments: list[str]) -> list[str]:
    """``revisage help COMMAND`` as ``revisage COMMAND --help``."""
    return [*arguments[1:2], "--help"] if arguments[:1] == ["help"] else arguments


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """One line, without the place in the code."""
    warn(str(message))


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


for command in (
    restore,
    detect,
    compare,
    status,
    train,
    prepare,
    degrade,
    evaluate,
    plot,
    models,
    fetch,
    convert,
    export,
    serve,
    bench,
    doctor,
):
    app.command(cls=Command)(with_output(command))
