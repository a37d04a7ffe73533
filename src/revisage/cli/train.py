"""``revisage train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revisage.cli.options import Device


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
