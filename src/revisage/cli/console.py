"""What commands say beside their results: progress, faults, numbers of things."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

Item = TypeVar("Item")


def complain(line: str) -> None:
    """One line on stderr."""
    print(f"error: {line}", file=sys.stderr)


def counted(number: int, noun: str) -> str:
    """``no faces``, ``1 face``, ``2 faces``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def with_progress(items: Iterable[Item], total: int | Iterable[object], doing: str) -> Iterator[Item]:
    """The same items; on a terminal with a progress bar below the lines that are printed meanwhile.

    Args:
        items: as they come.
        total: how many there will be; or something of that length to be counted meanwhile, in a thread.
        doing: what is done with them, beside the bar.
    """
    finished = Event()
    with bar(doing) as progress:
        task = progress.add_task(doing, total=total if isinstance(total, int) else None)
        if not isinstance(total, int) and progress.console.is_terminal:
            Thread(target=_count, args=(total, progress, task, finished), daemon=True).start()
        try:
            for item in items:
                yield item
                progress.advance(task)
        finally:
            finished.set()


def bar(doing: str) -> Progress:
    """A progress bar on stderr, below the lines that are printed meanwhile; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(
        *_columns(doing),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )


def _count(items: Iterable[object], progress: Progress, task: TaskID, finished: Event) -> None:
    """Tell the bar how many there are, once that is known."""
    number = 0
    for _ in items:
        number += 1
        if finished.is_set():
            return
    progress.update(task, total=number)


def _columns(doing: str) -> list[ProgressColumn]:
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second, of late."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g}/s" if speed < 100 else f"{speed:,.0f}/s")

    return [TextColumn(doing), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()]
