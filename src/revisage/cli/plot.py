"""``revisage plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revisage.cli.console import say


def plot(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="FILE.png, .svg or .pdf [default: RUN/curves.png].")
    ] = None,
) -> None:
    """Plot the curves of a training run. Validation metrics, losses, speed and memory."""
    from revisage.evaluation.plots import check_plot_name, draw_curves, read_records, write_figure

    output = output or run / "curves.png"
    check_plot_name(output)
    write_figure(output, draw_curves(read_records(run), run.resolve().name))
    say(f"curves of {run} -> {output}")
