"""``revisage train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.console import say_how_to_resume
from revisage.cli.options import Device

if TYPE_CHECKING:
    from revisage.training.recipe import Recipe


def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    run: Annotated[Path | None, typer.Option(help="Folder of the run [runs/NAME of the recipe].")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Setting to change: a.b=value.")] = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the full recipe and its memory, write the first batch.")
    ] = False,
) -> None:
    """Train a network by a recipe. Rerun the command to resume.

    Under torchrun (`torchrun --nproc-per-node 4 -m -- revisage train RECIPE`) all processes train together.
    """
    from revisage.process import keep_large_blocks, tune_process

    tune_process()  # before libraries load, which read some of it then
    keep_large_blocks()
    from revisage.models.device import choose_device
    from revisage.training.loop import train as train_recipe
    from revisage.training.recipe import read_recipe

    settings = read_recipe(recipe, set_ or ())
    own = choose_device(device, backend="torch").device
    folder = run or Path("runs") / settings.name
    if dry_run:
        _print_plan(settings, folder)
        return
    with say_how_to_resume():
        weights = train_recipe(settings, folder, device=own)
    if os.environ.get("RANK", "0") == "0":  # torchrun's number of this process
        print(f"weights: {weights}")


def _print_plan(recipe: Recipe, folder: Path) -> None:
    from revisage.images import write_image
    from revisage.training.plan import plan

    planned = plan(recipe, folder)
    print(planned.recipe)
    for name, (trained, all_) in planned.networks.items():
        print(f"{name}: {all_ / 1e6:.2f} million parameters, {trained / 1e6:.2f} million trained")
    print(
        f"memory: about {planned.memory / 1e9:.2f} GB and the libraries; {planned.constant / 1e9:.2f} for weights, "
        f"averages, gradients and optimizers, {planned.image / 1e9:.3f} for each of {planned.images} images"
    )
    write_image(folder / "first_batch.png", planned.image_grid)
    print(f"first batch: {folder / 'first_batch.png'}")
