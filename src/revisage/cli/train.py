"""``revisage train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.options import Device

if TYPE_CHECKING:
    from revisage.training.recipe import Recipe


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe.")],
    run: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME of the recipe if not given.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a setting: a.b=value.")] = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trained, and write the first batch as a sheet.")
    ] = False,
) -> None:
    """Train a network as a recipe says; the same command goes on with a run that was interrupted.

    Under torchrun (`torchrun --nproc-per-node 4 -m revisage train RECIPE`) all processes train together.
    """
    from revisage.models.device import choose
    from revisage.training.loop import train as train_recipe
    from revisage.training.recipe import read_recipe

    settings = read_recipe(recipe, set_ or ())
    folder = run or Path("runs") / settings.name
    if dry_run:
        _show_plan(settings, folder)
        return
    weights = train_recipe(settings, folder, device=str(choose(device).device))
    if os.environ.get("RANK", "0") == "0":  # torchrun's number of this process
        print(f"weights: {weights}")


def _show_plan(recipe: Recipe, folder: Path) -> None:
    from revisage.images import write_image
    from revisage.training.dry_run import plan

    made = plan(recipe)
    print(made.recipe)
    for name, (learning, all_) in made.networks.items():
        print(f"{name}: {all_ / 1e6:.2f} million parameters, {learning / 1e6:.2f} million learn")
    print(
        f"memory: about {made.memory / 1e9:.2f} GB and what libraries take; {made.constant / 1e9:.2f} for weights, "
        f"averages, gradients and optimizers, {made.image / 1e9:.3f} for each of {made.images} images"
    )
    sheet = folder / "first_batch.png"
    write_image(sheet, made.image_grid)
    print(f"first batch: {sheet}")
