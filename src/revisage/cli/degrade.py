"""``revisage degrade``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.console import say

if TYPE_CHECKING:
    from revisage.training.data.degradations.steps import Degradation


def degrade(
    paths: Annotated[list[str], typer.Argument(help="Aligned crops, folders of them, or quoted patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("degraded"),
    recipe: Annotated[Path | None, typer.Option(help="Training recipe whose degradation is used.")] = None,
    severity: Annotated[
        str | None, typer.Option(help="Degradation: mild, medium, severe, or default (GFP-GAN's).")
    ] = None,
    size: Annotated[int | None, typer.Option(min=16, help="Image size in pixels [the recipe's, else 512].")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed [the recipe's, else 0].")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of crops.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Number of pairs in the image grid.")] = 16,
) -> None:
    """Write pairs of degraded and original faces. OUTPUT gets lq/, gt/ and a grid to look at.

    With --recipe, faces are degraded as in training, but neither mirrored nor cut. Pair i depends on (seed, i) only.
    """
    from revisage.errors import InputError
    from revisage.images import write_image
    from revisage.jobs.collector import collect
    from revisage.training.degrade import SEVERITIES, degrade_files, image_grid

    if recipe is not None and severity is not None:
        raise InputError("give --recipe or --severity, not both")
    if severity is not None and severity not in SEVERITIES:
        raise InputError(f"--severity takes {', '.join(SEVERITIES)}, not {severity!r}")
    sources = list(islice(collect(paths, leave_out=output), limit))
    if fault := next((source.fault for source in sources if source.fault), ""):
        raise InputError(fault)
    degradation, own_size, own_seed = (
        _from_recipe(recipe) if recipe is not None else (SEVERITIES[severity or "default"], 512, 0)
    )
    pairs = degrade_files(
        degradation,
        [source.path for source in sources],
        output,
        size=own_size if size is None else size,
        seed=own_seed if seed is None else seed,
    )
    shown = [pair for place, pair in enumerate(pairs) if place < samples]
    write_image(output / "grid.png", image_grid(shown))
    say(f"{len(sources)} {'pair' if len(sources) == 1 else 'pairs'} in {output}; look at {output / 'grid.png'}")


def _from_recipe(path: Path) -> tuple[Degradation, int, int]:
    """Degradation, side of a face and seed."""
    from revisage.errors import RecipeError
    from revisage.training.data.degradations.recipes import choose_randomly
    from revisage.training.recipe import read_recipe
    from revisage.training.tasks.restoreformer import RestoreFormerTaskConfig
    from revisage.training.tasks.restorer import RestorerConfig

    recipe = read_recipe(path)
    if not isinstance(recipe.task, RestorerConfig | RestoreFormerTaskConfig):
        raise RecipeError(f"{path} trains no restorer: its task, {recipe.task.kind}, degrades nothing")
    task = recipe.task
    if isinstance(task, RestorerConfig) and task.data is None:
        return choose_randomly(task.degradation), task.size, recipe.seed
    if task.data is None:
        raise RecipeError(f"{path} names no data, so no degradation either")
    return task.data.degradation, task.size, recipe.seed
