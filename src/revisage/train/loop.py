"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from revisage.allocator import keep_freed_memory
from revisage.errors import TrainingError
from revisage.files.checkpoint import save_weights
from revisage.train.config import Training, as_json
from revisage.train.log import Log
from revisage.train.recipe import Recipe
from revisage.train.state import State
from revisage.train.task import Task

STATE = "state.pt"
WEIGHTS = "model.safetensors"
RECIPE = "recipe.json"


def train(recipe: Recipe, run: Path, *, device: str = "cpu") -> Path:
    """Train what ``recipe`` says, in the folder ``run``; go on where an earlier call on the same folder stopped.

    The folder receives ``recipe.json``, ``metrics.jsonl``, ``sheets/``, ``state.pt`` (to go on) and
    ``model.safetensors`` (averaged weights with their configuration). Ctrl-C saves the state before it leaves.

    Returns:
        Path of the weights.

    Raises:
        TrainingError: the folder belongs to another recipe, or the loss is no longer finite.
        RecipeError: data or weights that the recipe names are not there.
        OutputError: the folder cannot be written.
    """
    # What is trained, and how far an earlier call came.
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    task = recipe.task.build(recipe.seed)
    network = task.network.to(device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    state = State.fresh(network, recipe.training)
    settings = as_json(recipe)
    if (run / STATE).exists():
        state.restore(run / STATE, settings)
    log = Log(run, recipe.training.images)
    log.write(RECIPE, json.dumps(settings, indent=2))

    def keep() -> None:
        state.save(run / STATE, settings)
        header = task.describe() | {"recipe": recipe.name, "images": state.images}
        dtype = getattr(torch, recipe.training.weights)
        save_weights(run / WEIGHTS, state.average.network.state_dict(), header, dtype)

    try:
        with log:
            for batch in _batches(task, recipe.training, state.images):
                # One step.
                for group in state.optimizer.param_groups:
                    group["lr"] = learning_rate(recipe.training, state.images)
                with torch.autocast(device, torch.bfloat16, enabled=recipe.training.precision == "bfloat16"):
                    terms = task.losses(network, _to(batch, device))
                total = torch.stack([term.float() for term in terms.values()]).sum()
                state.optimizer.zero_grad(set_to_none=True)
                total.backward()
                norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.training.clip)
                if not math.isfinite(float(norm)):
                    raise TrainingError(f"the gradient is not finite after {state.images} images; lower the rate")
                state.optimizer.step()

                # Count and follow.
                before, state.images = state.images, state.images + recipe.training.batch
                state.average.update(network, recipe.training.batch, state.images)
                log.step(state.images, terms | {"gradient": norm})

                # Look, and keep.
                if _passed(before, state.images, recipe.training.validate_every):
                    start = time.monotonic()
                    found = task.validate(state.average.network)
                    log.examination(state.images, found, time.monotonic() - start)
                if _passed(before, state.images, recipe.training.save_every):
                    keep()
    except KeyboardInterrupt:
        keep()
        raise
    keep()
    return run / WEIGHTS


def learning_rate(training: Training, images: int) -> float:
    """Rate after ``images``: linear warm-up, then half a cosine down to ``final_rate`` of the peak."""
    if images < training.warmup:
        return training.learning_rate * (images + training.batch) / (training.warmup + training.batch)
    progress = min((images - training.warmup) / max(training.images - training.warmup, 1), 1)
    fall = 0.5 * (1 + math.cos(math.pi * progress))
    return training.learning_rate * (training.final_rate + (1 - training.final_rate) * fall)


def _batches(task: Task, training: Training, seen: int) -> Iterator[Any]:
    """Batches from image ``seen`` to the end of the run; the last one is whole."""
    steps = max(math.ceil((training.images - seen) / training.batch), 0)
    loader: DataLoader[Any] = DataLoader(
        task.dataset,
        training.batch,
        sampler=range(seen, seen + steps * training.batch),
        num_workers=training.workers,
        collate_fn=task.collate,
        prefetch_factor=4 if training.workers else None,
    )
    return iter(loader)


def _to(batch: Any, device: str) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(_to(value, device) for value in batch)
    return batch


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every
