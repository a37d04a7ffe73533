"""Output of commands beside their results: progress, errors, counts."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from revisage.errors import OutputError, to_one_line
from revisage.jobs.counting import Count

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Item = TypeVar("Item")


_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)
_library = logging.getLogger("revisage")


def set_up_output(quiet: bool = False, verbose: bool = False, log_file: Path | None = None) -> None:
    """Choose how much a command says (OutputError: the log file cannot be written)."""
    _log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    if verbose:
        handler = logging.StreamHandler()
        handler.addFilter(lambda record: record.name != _log.name)  # those lines are printed
        handler.setFormatter(logging.Formatter("debug: %(message)s"))
        _add_handler(handler)
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(f"cannot write {log_file}: {error.strerror or error}") from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _add_handler(handler)


def _add_handler(handler: logging.Handler) -> None:
    _library.setLevel(logging.DEBUG)
    _library.addHandler(handler)


def is_quiet() -> bool:
    """Whether only warnings and errors are asked for."""
    return not _log.isEnabledFor(logging.INFO)


def say(line: str, *, only_verbose: bool = False) -> None:
    """Print a line on stdout, unless the command is quiet."""
    level, line = logging.DEBUG if only_verbose else logging.INFO, to_one_line(line)
    if _log.isEnabledFor(level):
        print(line, flush=True)
    _record(level, line)


def warn(line: str) -> None:
    """Print a warning, one line on stderr."""
    line = to_one_line(line)
    print(f"warning: {line}", file=sys.stderr)
    _record(logging.WARNING, line)


def complain(line: str) -> None:
    """Print an error, one line on stderr."""
    line = to_one_line(line)
    print(f"error: {line}", file=sys.stderr)
    _record(logging.ERROR, line)


def _record(level: int, line: str) -> None:
    """Write a line that was printed, or was not to be, to the log file."""
    if _library.handlers:
        _library.handle(logging.LogRecord(_log.name, level, "", 0, line, None, None))


def counted(number: int, noun: str) -> str:
    """``no faces``, ``1 face``, ``2 faces``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


@contextmanager
def say_how_to_resume() -> Generator[None]:
    """Say which command resumes, the same one, if it is interrupted within."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped; to resume: {shlex.join(['revisage', *sys.argv[1:]])}", file=sys.stderr)
        raise


def with_progress(
    items: Iterable[Item], total: int | Iterable[object], doing: str, bar: Progress | None = None
) -> Iterator[Item]:
    """The same items; on a terminal with a progress bar below the lines that are printed meanwhile.

    ``total`` is how many there will be, or something of that length to be counted meanwhile, in a thread; ``doing`` a
    verb beside the bar, ``bar`` one to add a line to, instead of a bar of its own.
    """
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar()) if bar is None else bar
        counting = total if isinstance(total, int) or not progress.console.is_terminal else Count(total)
        count = stack.enter_context(counting) if isinstance(counting, Count) else None
        task = progress.add_task(doing, total=total if isinstance(total, int) else None)
        for item in items:
            yield item
            progress.update(task, advance=1, total=count.value or None if count else None)


def progress_bar() -> Progress:
    """A progress bar on stderr, below the lines that are printed meanwhile; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(
        *_columns(),
        console=console,
        transient=True,
        disable=is_quiet() or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )


def _columns() -> list[ProgressColumn]:
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second, of late."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g}/s" if speed < 100 else f"{speed:,.0f}/s")

    description = TextColumn("{task.description}", markup=False)  # names of files may hold brackets
    return [description, BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()]
