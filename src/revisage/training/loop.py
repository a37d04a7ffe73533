"""The training loop: one function, read from top to bottom; and a plan of a run, without running it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from revisage.errors import RecipeError
from revisage.models.checkpoint import save_weights
from revisage.models.device import choose_device
from revisage.process import keep_freed_memory
from revisage.training.config import TrainingConfig, to_json
from revisage.training.distributed import Interruption, World, join
from revisage.training.log import Log
from revisage.training.recipe import Recipe
from revisage.training.state import State
from revisage.training.step import MicroBatch, step
from revisage.training.task import Progress, Task

STATE = "state.pt"
WEIGHTS = "model.safetensors"
BEST = "best.safetensors"
RECIPE = "recipe.json"

OPTIMIZER_STATES = 2
"""Numbers that AdamW keeps for each parameter."""


def train(recipe: Recipe, run: Path, *, device: str = "cpu") -> Path:
    """Train by ``recipe`` in the folder ``run``; resume where an earlier call on the same folder stopped.

    The folder receives ``recipe.json``, ``metrics.jsonl``, ``samples/``, ``state.pt`` (to resume),
    ``model.safetensors`` (averaged weights with their configuration) and, with ``training.best``, ``best.safetensors``.
    Ctrl-C ends the step and saves the state before it leaves. Under ``torchrun`` all processes call this.

    Returns:
        Path of the weights.

    Raises:
        DeviceError: this machine does not have ``device``.
        TrainingError: the folder belongs to another recipe, or the loss is no longer finite.
        RecipeError: data or weights that the recipe names are missing.
        OutputError: the folder cannot be written.
    """
    keep_freed_memory()
    training, settings = recipe.training, to_json(recipe)
    with join(torch.device(choose_device(device, backend="torch").device)) as (world, own):
        # Build the networks, and find out how far an earlier call came.
        torch.manual_seed(recipe.seed)
        task = recipe.build()
        for network in task.networks.values():
            network.to(own, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
            world.broadcast_from_rank0(network)
        state = State.initial(task.networks, training)
        if (run / STATE).exists():
            state.load(run / STATE, settings)
        if training.compile:
            state.network.compile()
        log = Log(run, training.images, tensorboard=training.tensorboard, quiet=not world.is_first)

        def save_ema(name: str) -> None:
            header = replace(task.header(), notes={"recipe": recipe.name, "images": state.images})
            save_weights(run / name, state.ema.network.state_dict(), header, getattr(torch, training.weights))

        def save() -> None:
            if world.is_first:
                state.save(run / STATE, settings)
                save_ema(WEIGHTS)

        with log, Interruption() as interruption:
            log.write(RECIPE, json.dumps(settings, indent=2))
            for micro_batches in _steps(task, training, state.images, world, own):
                # Update the networks.
                terms = step(task, state, micro_batches, recipe.seed, training, world)

                # Count, and update the average.
                before, state.images = state.images, state.images + training.batch
                state.ema.update(state.network, training.batch, state.images)
                log.step(state.images, terms)

                # Validate, and save.
                if _passed(before, state.images, training.validate_every):
                    start = time.monotonic()
                    result = task.validate(state.ema.network, world)
                    log.validation(state.images, result, time.monotonic() - start)
                    if _is_best(state, result.metrics, training) and world.is_first:
                        save_ema(BEST)
                if interruption.requested:
                    save()
                    raise KeyboardInterrupt
                if _passed(before, state.images, training.save_every):
                    save()
        save()
    return run / WEIGHTS


def _steps(
    task: Task, training: TrainingConfig, seen: int, world: World, device: torch.device
) -> Iterator[list[MicroBatch]]:
    """This process's micro-batches of every step from image ``seen`` to the end of the run; the last step is whole.

    A step's images are dealt out to all micro-batches of all processes in turn, so that networks which compare the
    images of a batch get the same groups however many processes there are.
    """
    share, odd = divmod(training.batch, world.size * training.accumulate)
    if odd:
        raise RecipeError(
            f"training.batch: {training.batch} images do not divide into {world.size} processes "
            f"x {training.accumulate} micro-batches"
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


def _is_best(state: State, metrics: dict[str, float], training: TrainingConfig) -> bool:
    """Whether this validation is the best so far, by the recipe's metric; keeps its value in the state if so."""
    if training.best is None:
        return False
    value = metrics.get(training.best.metric)
    if value is None:
        raise RecipeError(f"training.best: no metric {training.best.metric!r}; there are {', '.join(metrics)}")
    sign = 1 if training.best.better == "higher" else -1
    better = state.best is None or sign * value > sign * state.best
    state.best = value if better else state.best
    return better


@dataclass(frozen=True)
class Plan:
    """A run in advance.

    Attributes:
        recipe: with every default filled in, as YAML.
        networks: name -> (parameters in training, all parameters).
        constant: bytes of weights, averaged weights, gradients and optimizers.
        image: bytes that are kept of one image for the gradient, in the largest optimizer step.
        images: that are in memory at once.
        image_grid: (H, W, 3) uint8 RGB, the first batch.
    """

    recipe: str
    networks: dict[str, tuple[int, int]]
    constant: int
    image: int
    images: int
    image_grid: NDArray[np.uint8]

    @property
    def memory(self) -> int:
        """Estimate of the peak in bytes, for one process, without libraries and data loading."""
        return self.constant + self.images * self.image


def plan(recipe: Recipe, processes: int = 1) -> Plan:
    """Build everything, and send one image through every optimizer step of the first step.

    Raises:
        RecipeError: data or weights that the recipe names are missing.
    """
    torch.manual_seed(recipe.seed)
    task = recipe.build()
    networks = {name: (_count(network, trained=True), _count(network)) for name, network in task.networks.items()}
    trained, all_ = (sum(counts[which] for counts in networks.values()) for which in range(2))
    averaged = next(iter(networks.values()))[1]
    return Plan(
        yaml.safe_dump(to_json(recipe), sort_keys=False),
        networks,
        4 * (all_ + averaged + (1 + OPTIMIZER_STATES) * trained),
        _largest_optimizer_step(task, recipe),
        max(recipe.training.batch // (processes * recipe.training.accumulate), 1),
        task.image_grid(task.collate([task.dataset[index] for index in range(min(recipe.training.batch, 8))])),
    )


def _count(network: nn.Module, *, trained: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trained)


def _largest_optimizer_step(task: Task, recipe: Recipe) -> int:
    """Bytes kept of one image for the gradient, parameters apart."""
    weights = {p.untyped_storage().data_ptr() for network in task.networks.values() for p in network.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    largest = 0
    precision = recipe.training.precision
    half = torch.float16 if precision == "float16" else torch.bfloat16
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", half, enabled=precision != "float32"),
    ):
        for _ in task.optimizer_steps(task.collate([task.dataset[0]]), Progress(0, 0)):
            largest = max(largest, sum(saved.values()))
            saved.clear()
    return largest
