"""One optimisation step: every player's turn, over all parts of the batch and all processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from revisage.errors import TrainingError
from revisage.training.config import Training
from revisage.training.distributed import World
from revisage.training.state import State
from revisage.training.task import OptimizerStep, Progress, Task


@dataclass(frozen=True)
class MicroBatch:
    """Images of a step that go through the networks together; ``first`` is the count of the first of them."""

    first: int
    batch: Any


def step(
    task: Task, state: State, parts: Sequence[MicroBatch], seed: int, training: Training, world: World
) -> dict[str, Tensor]:
    """Let every player learn from the mean over all parts, of this process and the others.

    Random numbers depend on the seed, a part's first image and the turn: neither on the process that computes the part
    nor on what was computed before. So a resumed run needs no generator's state, and two processes do what one does.

    Args:
        task: says whose turn it is, and with which losses.
        state: networks and optimizers, changed in place.
        parts: this process's share of the batch, on the networks' device.
        seed: of the recipe.
        training: precision, clipping, schedule.
        world: the processes.

    Returns:
        name -> weighted term, mean over this process's parts; and the norm of each player's gradient.

    Raises:
        TrainingError: a gradient is not finite.
    """
    device = next(state.network.parameters()).device.type
    progress = Progress(state.images, state.images // training.batch)
    running = [task.optimizer_steps(part.batch, progress) for part in parts]
    found: dict[str, Tensor] = {}
    for number in range(1_000):
        optimizer_steps = (
            _next_turn(optimizer_steps, (seed, part.first, number), training, device)
            for part, optimizer_steps in zip(parts, running, strict=True)
        )
        player = None
        for turn in optimizer_steps:
            if turn is None:
                return found
            if player is None:
                player = turn[0]
                state.optimizers[player].zero_grad(set_to_none=True)
            _backward(state, turn, len(parts), found)
        if player is not None:
            found[f"gradient/{player}"] = _learn(state, player, training, world)
    raise TrainingError("a step of more than a thousand optimizer_steps does not end")


def _next_turn(
    optimizer_steps: Iterator[OptimizerStep], seed: tuple[int, int, int], training: Training, device: str
) -> OptimizerStep | None:
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    dtype = torch.float16 if training.precision == "float16" else torch.bfloat16
    with torch.autocast(device, dtype, enabled=training.precision != "float32"):
        return next(optimizer_steps, None)


def _backward(state: State, turn: OptimizerStep, parts: int, found: dict[str, Tensor]) -> None:
    player, terms = turn
    total = torch.stack([term.float() for term in terms.values()]).sum() / parts
    state.scalers[player].scale(total).backward()
    for name, term in terms.items():
        found[name] = found.get(name, torch.zeros((), device=term.device)) + term.detach().float() / parts


def _learn(state: State, player: str, training: Training, world: World) -> Tensor:
    """Average the gradients, clip them, take the step; returns the norm before clipping."""
    network, optimizer, scaler = state.networks[player], state.optimizers[player], state.scalers[player]
    world.average_gradients(network)
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
    if not scaler.is_enabled() and not math.isfinite(float(norm)):  # a scaler skips such a step and scales less
        raise TrainingError(f"the gradient of {player} is not finite after {state.images} images; lower its rate")
    for group in optimizer.param_groups:
        rate = training.optimizers.get(player, training.optimizer).learning_rate
        group["lr"] = rate * group["factor"] * training.schedule.factor(state.images, training.batch, training.images)
    scaler.step(optimizer)
    scaler.update()
    return norm.detach()
