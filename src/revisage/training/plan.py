"""A plan of a run, without running it: networks, memory, the first batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from revisage.training.checks import OPTIMIZER_STATES, count
from revisage.training.config import to_json
from revisage.training.recipe import Recipe
from revisage.training.task import Progress, Task


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


def plan(recipe: Recipe, run: Path | None = None, processes: int = 1) -> Plan:
    """Build and check everything (RecipeError), and send one image through the first step and a late one."""
    torch.manual_seed(recipe.seed)
    task = recipe.build(run, processes)
    networks = {name: (count(network, trained=True), count(network)) for name, network in task.networks.items()}
    trained, all_ = (sum(counts[which] for counts in networks.values()) for which in range(2))
    averaged = next(iter(networks.values()))[1]
    return Plan(
        yaml.safe_dump(to_json(recipe), sort_keys=False),
        networks,
        4 * (all_ + averaged + (1 + OPTIMIZER_STATES) * trained),
        max(_largest_optimizer_step(task, recipe, images) for images in (0, recipe.training.images)),
        max(recipe.training.batch // (processes * recipe.training.accumulate), 1),
        task.image_grid(task.collate([task.dataset[index] for index in range(min(recipe.training.batch, 8))])),
    )


def _largest_optimizer_step(task: Task, recipe: Recipe, images: int) -> int:
    """Bytes kept of one image for the gradient, parameters apart, after ``images``: some terms start late."""
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
        for _ in task.optimizer_steps(task.collate([task.dataset[0]]), Progress(images, 0)):
            largest = max(largest, sum(saved.values()))
            saved.clear()
    return largest
