"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from revisage.errors import RecipeError
from revisage.models.checkpoint import save_weights
from revisage.process import keep_freed_memory
from revisage.training.config import Training, to_json
from revisage.training.distributed import World, join
from revisage.training.interruption import Interruption
from revisage.training.log import Log
from revisage.training.recipe import Recipe
from revisage.training.state import State
from revisage.training.step import MicroBatch, step
from revisage.training.task import Task

STATE = "state.pt"
WEIGHTS = "model.safetensors"
BEST = "best.safetensors"
RECIPE = "recipe.json"


def train(recipe: Recipe, run: Path, *, device: str = "cpu") -> Path:
    """Train what ``recipe`` says, in the folder ``run``; go on where an earlier call on the same folder stopped.

    The folder receives ``recipe.json``, ``metrics.jsonl``, ``sheets/``, ``state.pt`` (to go on),
    ``model.safetensors`` (averaged weights with their configuration) and, if the recipe says what is best,
    ``best.safetensors``. Ctrl-C ends the step and saves the state before it leaves. Under ``torchrun`` all processes
    call this.

    Returns:
        Path of the weights.

    Raises:
        TrainingError: the folder belongs to another recipe, or the loss is no longer finite.
        RecipeError: data or weights that the recipe names are not there.
        OutputError: the folder cannot be written.
    """
    keep_freed_memory()
    training, settings = recipe.training, to_json(recipe)
    with join(device) as (world, own):
        # What is trained, and how far an earlier call came.
        torch.manual_seed(recipe.seed)
        task = recipe.task.build(recipe.seed)
        for network in task.networks.values():
            network.to(own, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
            world.broadcast_from_rank0(network)
        state = State.fresh(task.networks, training)
        if (run / STATE).exists():
            state.restore(run / STATE, settings)
        if training.compile:
            state.network.compile()
        log = Log(run, training.images, tensorboard=training.tensorboard, quiet=not world.first)

        def keep(name: str) -> None:
            header = replace(task.header(), notes={"recipe": recipe.name, "images": state.images})
            save_weights(run / name, state.average.network.state_dict(), header, getattr(torch, training.weights))

        def save() -> None:
            if world.first:
                state.save(run / STATE, settings)
                keep(WEIGHTS)

        with log, Interruption() as interruption:
            log.write(RECIPE, json.dumps(settings, indent=2))
            for parts in _steps(task, training, state.images, world, own):
                # Learn.
                terms = step(task, state, parts, recipe.seed, training, world)

                # Count and follow.
                before, state.images = state.images, state.images + training.batch
                state.average.update(state.network, training.batch, state.images)
                log.step(state.images, terms)

                # Look, and keep.
                if _passed(before, state.images, training.validate_every):
                    start = time.monotonic()
                    found = task.validate(state.average.network, world)
                    log.examination(state.images, found, time.monotonic() - start)
                    if _is_best(state, found.metrics, training) and world.first:
                        keep(BEST)
                if interruption.asked:
                    save()
                    raise KeyboardInterrupt
                if _passed(before, state.images, training.save_every):
                    save()
        save()
    return run / WEIGHTS


def _steps(task: Task, training: Training, seen: int, world: World, device: torch.device) -> Iterator[list[MicroBatch]]:
    """This process's parts of every step from image ``seen`` to the end of the run; the last step is whole.

    A step's images are dealt out to all parts of all processes in turn, so that networks which compare the images of
    a batch see the same groups however many processes there are.
    """
    share, odd = divmod(training.batch, world.size * training.accumulate)
    if odd:
        raise RecipeError(
            f"training.batch: {training.batch} images do not divide into {world.size} processes "
            f"x {training.accumulate} parts"
        )
    stride = world.size * training.accumulate
    firsts = [world.rank + world.size * part for part in range(training.accumulate)]
    starts = range(seen, training.images, training.batch)
    loader: DataLoader[Any] = DataLoader(
        task.dataset,
        batch_sampler=(  # pyright: ignore[reportArgumentType]
            range(start + first, start + first + share * stride, stride) for start in starts for first in firsts
        ),
        num_workers=training.workers,
        collate_fn=task.collate,
        prefetch_factor=4 if training.workers else None,
        pin_memory=device.type == "cuda",
    )
    batches = iter(loader)
    for start in starts:
        yield [MicroBatch(start + first, _to(next(batches), device)) for first in firsts]


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(_to(value, device) for value in batch)
    return batch


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _is_best(state: State, metrics: dict[str, float], training: Training) -> bool:
    """Whether this examination is the best so far, by the recipe's measure; remembers its figure if so."""
    if training.best is None:
        return False
    figure = metrics.get(training.best.metric)
    if figure is None:
        raise RecipeError(f"training.best: no metric {training.best.metric!r}; there are {', '.join(metrics)}")
    sign = 1 if training.best.better == "higher" else -1
    better = state.best is None or sign * figure > sign * state.best
    state.best = figure if better else state.best
    return better
