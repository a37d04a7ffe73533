"""One training step: every network's optimizer step, over all micro-batches and all processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from revisage.errors import TrainingError
from revisage.training.config import TrainingConfig
from revisage.training.distributed import World
from revisage.training.state import State
from revisage.training.task import OptimizerStep, Progress, Task

MAX_OPTIMIZER_STEPS = 1000


@dataclass(frozen=True)
class MicroBatch:
    """Images of a step that go through the networks together; ``first`` is the image count of the first of them."""

    first: int
    batch: Any


def step(
    task: Task, state: State, micro_batches: Sequence[MicroBatch], seed: int, training: TrainingConfig, world: World
) -> dict[str, Tensor]:
    """Update every network by the mean gradient of all micro-batches, of this process and the others.

    Random numbers depend on the seed, a micro-batch's first image and the index of the optimizer step, neither on the
    process nor on earlier ones: so a resumed run needs no generator's state, and two processes do what one does.
    Returns name -> weighted loss term, mean over this process's micro-batches; and the norm of each network's gradient
    (TrainingError: a gradient is not finite).
    """
    device = next(state.network.parameters()).device.type
    progress = Progress(state.images, state.images // training.batch)
    running = [task.optimizer_steps(part.batch, progress) for part in micro_batches]
    results: dict[str, Tensor] = {}
    for index in range(MAX_OPTIMIZER_STEPS):
        name = None
        for part, steps in zip(micro_batches, running, strict=True):
            current = _next_optimizer_step(steps, (seed, part.first, index), training, device)
            if current is None:
                return results
            if name is None:
                name = current[0]
                state.optimizers[name].zero_grad(set_to_none=True)
            _backward(state, current, len(micro_batches), results)
        if name is not None:
            results[f"gradient/{name}"] = _update(state, name, training, world)
    raise TrainingError(f"a step of more than {MAX_OPTIMIZER_STEPS} optimizer steps does not end")


def _next_optimizer_step(
    steps: Iterator[OptimizerStep], seed: tuple[int, int, int], training: TrainingConfig, device: str
) -> OptimizerStep | None:
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    dtype = torch.float16 if training.precision == "float16" else torch.bfloat16
    with torch.autocast(device, dtype, enabled=training.precision != "float32"):
        return next(steps, None)


def _backward(state: State, optimizer_step: OptimizerStep, parts: int, results: dict[str, Tensor]) -> None:
    name, terms = optimizer_step
    total = torch.stack([term.float() for term in terms.values()]).sum() / parts
    state.scalers[name].scale(total).backward()
    for term_name, term in terms.items():
        before = results.get(term_name, torch.zeros((), device=term.device))
        results[term_name] = before + term.detach().float() / parts


def _update(state: State, name: str, training: TrainingConfig, world: World) -> Tensor:
    """Average a network's gradients, clip them, set the learning rate, step; return the norm before clipping."""
    network, optimizer, scaler = state.networks[name], state.optimizers[name], state.scalers[name]
    world.average_gradients(network)
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
    # A scaler skips such a step and scales less, which helps while it scales at all.
    if not (scaler.is_enabled() and scaler.get_scale() > 1) and not math.isfinite(float(norm)):
        raise TrainingError(
            f"the gradient of {name} is not finite after {state.images} images; start another run with a lower learning"
            " rate, from the weights of this one"
        )
    rate = training.optimizer_of(name).learning_rate
    factor = training.schedule.factor(state.images, training.batch, training.images)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"] * factor
    state.updated.append(name)
    scaler.step(optimizer)
    scaler.update()
    return norm.detach()
