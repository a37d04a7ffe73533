"""Options that several commands share. Those of a restoration are made from :class:`Controls`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from revisage.cli.console import set_up_output
from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.restore.controls import Controls, Option

Result = TypeVar("Result")

Device = Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1, xpu or mps.")]
Dtype = Annotated[str, typer.Option(help="Number format: auto, float32, bfloat16 or float16.")]
Fast = Annotated[bool, typer.Option("--fast", help="The fastest number format that keeps 45 dB, if there is one.")]
Architecture = Annotated[str | None, typer.Option(help="GFPGANBilinear, for weights whose keys look like GFPGANv1's.")]
Detector = Annotated[str, typer.Option(help="Face detector: a name from `revisage models`, or a file.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads on the CPU (default: one per core).")]
AllowDamaged = Annotated[
    bool, typer.Option("--allow-damaged", help="Use the readable part of truncated or damaged photos.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download (as REVISAGE_OFFLINE=1).")]
Identity = Annotated[str, typer.Option(help="Identity embedder: a name from `revisage models`, or a file.")]
Parser = Annotated[str, typer.Option(help="Face parser: auto (parsenet if fetched), none, a name, or a file.")]
Background = Annotated[str, typer.Option(help="Background upscaler: lanczos, embedded, auto, a name, or a file.")]
Tile = Annotated[int, typer.Option(min=0, help="Tile size of the background upscaler; 0: no tiles.")]


@dataclass(frozen=True)
class GivenControls:
    """The controls that were given on the command line.

    Attributes:
        values: field of ``Controls`` or ``Selection`` -> value, of options that were given.
    """

    values: dict[str, Any]

    def to_controls(self) -> Controls:
        """Controls with these values (InputError: a value makes no sense, or a reference image cannot be read)."""
        from revisage.images import read_image
        from revisage.restore.controls import declared, make_controls

        values = dict(self.values)
        for name, _, option in declared():
            if name in values and option.files:
                values[name] = tuple(read_image(path) for path in values[name])
            elif name in values and option.parse:
                try:
                    values[name] = option.parse(values[name])
                except InputError as error:
                    raise InputError(f"{_flag(name, option)}: {error}") from error
        return make_controls(values)


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print more, also what the library logs.")]
LogFile = Annotated[Path | None, typer.Option("--log-file", help="Append everything to this file, with times.")]


def with_output(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command the options that say how much it prints."""

    @wraps(command)
    def run(quiet: bool, verbose: bool, log_file: Path | None, **values: Any) -> Result:
        set_up_output(quiet, verbose, log_file)
        return command(**values)

    kinds = {"quiet": (Quiet, False), "verbose": (Verbose, False), "log_file": (LogFile, None)}
    own = inspect.signature(command, eval_str=True).parameters
    made = [_keyword(name, kind, initial) for name, (kind, initial) in kinds.items()]
    return _with_parameters(run, [*own.values(), *made])


def with_controls(*names: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a command the options of these controls, or of all; it takes them as ``controls: GivenControls``."""
    from revisage.restore.controls import declared

    made = [_parameter(name, entry.default, option) for name, entry, option in declared() if name in names or not names]

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        own = inspect.signature(command, eval_str=True).parameters

        @wraps(command)
        def run(**values: Any) -> Result:
            given = {parameter.name: values.pop(parameter.name) for parameter in made}
            # 0 is a value, though it equals False.
            absent = [name for name, value in given.items() if value is None or value is False or value == []]
            return command(**values, controls=GivenControls({k: v for k, v in given.items() if k not in absent}))

        return _with_parameters(run, [*(parameter for name, parameter in own.items() if name != "controls"), *made])

    return decorate


def _with_parameters(run: Callable[..., Result], parameters: list[inspect.Parameter]) -> Callable[..., Result]:
    """A function whose signature is made of these parameters, for typer to read."""
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    return run


def _keyword(name: str, annotation: Any, initial: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=initial, annotation=annotation)


def _parameter(name: str, default: Any, option: Option) -> inspect.Parameter:
    """A command-line option; not given, it is None, False or []."""
    kind: Any = str | None
    shown = "" if default in (None, (), False, float("inf")) else f" [default: {default}]"
    initial: Any = None
    if option.files:
        kind = list[Path] | None
    elif isinstance(default, bool):
        kind, initial = bool, False
    elif not (option.choices or option.parse):
        kind = float | None
    info = typer.Option(
        _flag(name, option), help=option.help + shown, min=option.min, max=option.max, show_default=False
    )
    return _keyword(name, Annotated[kind, info], initial)


def _flag(name: str, option: Option) -> str:
    return f"--{option.flag or name.replace('_', '-')}"
