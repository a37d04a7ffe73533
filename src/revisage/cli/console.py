"""What commands say beside their results: progress, faults, numbers of things."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def complain(line: str) -> None:
    """One line on stderr."""
    print(f"error: {line}", file=sys.stderr)


def counted(number: int, noun: str) -> str:
    """``no faces``, ``1 face``, ``2 faces``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def with_progress(items: Iterable[Item], total: int, doing: str) -> Iterator[Item]:
    """The same items; on a terminal with a progress bar below the lines that are printed meanwhile.

    Args:
        items: as they come.
        total: how many there will be.
        doing: what is done with them, beside the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        yield from progress.track(items, total=total)
