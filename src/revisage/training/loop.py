"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from revisage.errors import RevisageError
from revisage.models.device import choose_device
from revisage.training.config import TrainingConfig
from revisage.training.distributed import Interruption, World, join
from revisage.training.identity import identify
from revisage.training.log import Log
from revisage.training.recipe import Recipe
from revisage.training.run_folder import RunFolder
from revisage.training.state import State
from revisage.training.step import MicroBatch, step
from revisage.training.task import Task


def train(recipe: Recipe, run: Path, *, device: str = "cpu") -> Path:
    """Train by ``recipe`` in the folder ``run``; resume where an earlier call on the same folder stopped.

    The folder receives ``recipe.json``, ``metrics.jsonl``, ``samples/``, ``state.pt`` (to resume),
    ``model.safetensors`` (averaged weights with their configuration) and, with ``training.best``, ``best.safetensors``.
    The state is saved before each validation and on every way out: an error, too little memory, Ctrl-C and SIGTERM,
    which end the step first. Under ``torchrun`` all processes call this, and leave together (:class:`.Interruption`).

    Returns:
        Path of the weights.

    Raises:
        DeviceError: this machine does not have ``device``.
        RecipeError: see :meth:`.recipe.Recipe.build`; or a sample cannot be read.
        TrainingError: the folder belongs to another recipe, a gradient is not finite, or memory runs out.
        OutputError: the folder cannot be written.
    """
    training, identity = recipe.training, identify(recipe)
    with join(torch.device(choose_device(device, backend="torch").device)) as (world, own):
        # Build the networks, and find out how far an earlier call came.
        torch.manual_seed(recipe.seed)
        task = recipe.build(run, world.size)
        for network in task.networks.values():
            network.to(own, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
            world.broadcast_from_rank0(network)
        state = State.initial(task.networks, training)
        folder = RunFolder(run, recipe, identity, task, state, writes=world.is_first)
        changed = folder.load()
        if training.compile:
            state.network.compile()
        log = Log(run, training.images, tensorboard=training.tensorboard, quiet=not world.is_first)

        def validate() -> None:
            start = time.monotonic()
            result = task.validate(state.ema.network, world)
            log.validation(state.images, result, time.monotonic() - start)
            if training.best and folder.is_best(result.metrics[training.best.metric]):
                folder.save_best()
            state.pending = False

        with log, Interruption(world) as interruption, folder.saved_on_exit(log):
            log.write("recipe.json", json.dumps(identity["recipe"], indent=2))
            for setting in changed:
                log.note(f"the files of {setting} have changed since the state was saved")
            if state.pending:
                validate()
            for micro_batches in interruption.together(_steps(task, training, state.images, world, own)):
                # Update the networks.
                state.begin_step()
                terms = step(task, state, micro_batches, recipe.seed, training, world)

                # Count, and update the average.
                before, state.images = state.images, state.images + training.batch
                state.ema.update(state.network, training.batch, state.images)
                state.updated, state.buffers = [], []
                log.step(state.images, terms)

                # Save, and validate.
                state.pending = _passed(before, state.images, training.validate_every)
                stop = interruption.agreed()
                if stop or state.pending or _passed(before, state.images, training.save_every):
                    folder.save()
                if stop:
                    raise KeyboardInterrupt
                if state.pending:
                    validate()
            folder.save()
    return folder.weights


def _steps(
    task: Task, training: TrainingConfig, seen: int, world: World, device: torch.device
) -> Iterator[list[MicroBatch]]:
    """This process's micro-batches of every step from image ``seen`` to the end of the run; the last step is whole.

    A step's images are dealt out to all micro-batches of all processes in turn, so that networks which compare the
    images of a batch get the same groups however many processes there are.
    """
    stride = world.size * training.accumulate
    firsts = [world.rank + world.size * part for part in range(training.accumulate)]
    starts = range(seen, training.images, training.batch)
    samples = _ErrorsAsSamples(task.dataset, task.collate)
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_sampler=(  # pyright: ignore[reportArgumentType]
            range(start + first, start + first + training.batch, stride) for start in starts for first in firsts
        ),
        num_workers=training.workers,
        collate_fn=samples.collate,
        prefetch_factor=4 if training.workers else None,
        pin_memory=device.type == "cuda",
    )
    batches = iter(loader)
    for start in starts:
        yield [MicroBatch(start + first, _to(next(batches), device)) for first in firsts]


class _ErrorsAsSamples(Dataset[Any]):
    """Samples, or errors in their place: one raised in a worker process would come wrapped in torch's traceback."""

    def __init__(self, dataset: Dataset[Any], collate: Callable[[list[Any]], Any]) -> None:
        self._dataset = dataset
        self._collate = collate

    def __getitem__(self, index: int) -> Any:
        try:
            return self._dataset[index]
        except RevisageError as error:
            return error

    def collate(self, samples: list[Any]) -> Any:
        """A batch, or the first error."""
        errors = [sample for sample in samples if isinstance(sample, RevisageError)]
        return errors[0] if errors else self._collate(samples)


def _to(batch: Any, device: torch.device) -> Any:
    """Tensors of a batch on a device; an error that came in the place of a sample is raised."""
    if isinstance(batch, RevisageError):
        raise batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(_to(value, device) for value in batch)
    return batch


def _passed(before: int, after: int, every: int) -> bool:
    return before // every != after // every
