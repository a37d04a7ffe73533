"""How far a download has come, on a terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from revisage.files.transfer import Progress


@contextmanager
def transfer_bar(name: str) -> Generator[Progress]:
    """Show a bar with size, speed and remaining time on stderr while inside; nothing where stderr is no terminal.

    Yields:
        the function that moves it; the bar appears with its first call.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def move(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield move
