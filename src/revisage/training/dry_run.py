"""What a run would be, without running it: the whole recipe, its networks, the memory it needs, its first pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from revisage.training.config import to_json
from revisage.training.recipe import Recipe
from revisage.training.task import Progress, Task

ADAM = 2
"""Numbers that the optimizer keeps for each parameter."""


@dataclass(frozen=True)
class Plan:
    """A run in advance.

    Attributes:
        recipe: with every default filled in, as YAML.
        networks: name -> (parameters that learn, all parameters).
        constant: bytes of weights, averaged weights, gradients and optimizers.
        image: bytes that one image's way through the networks leaves behind for the gradient, in the largest turn.
        images: that are in memory at once.
        sheet: (H, W, 3) uint8 RGB, the first batch.
    """

    recipe: str
    networks: dict[str, tuple[int, int]]
    constant: int
    image: int
    images: int
    image_grid: NDArray[np.uint8]

    @property
    def memory(self) -> int:
        """Estimate of the peak in bytes, for one process; what libraries and data loading take comes on top."""
        return self.constant + self.images * self.image


def plan(recipe: Recipe, processes: int = 1) -> Plan:
    """Build everything, and send one image through every turn of the first step.

    Raises:
        RecipeError: data or weights that the recipe names are not there.
    """
    torch.manual_seed(recipe.seed)
    task = cast(Task, recipe.task.build(recipe.seed))
    networks = {name: (_count(network, learning=True), _count(network)) for name, network in task.networks.items()}
    learning, all_ = (sum(counts[which] for counts in networks.values()) for which in range(2))
    kept = next(iter(networks.values()))[1]
    share = max(recipe.training.batch // (processes * recipe.training.accumulate), 1)
    return Plan(
        yaml.safe_dump(to_json(recipe), sort_keys=False),
        networks,
        4 * (all_ + kept + (1 + ADAM) * learning),
        _largest_turn(task, recipe),
        share,
        task.image_grid(task.collate([task.dataset[index] for index in range(min(recipe.training.batch, 8))])),
    )


def _count(network: nn.Module, *, learning: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not learning)


def _largest_turn(task: Task, recipe: Recipe) -> int:
    """Bytes that the gradient of one image needs, parameters apart."""
    weights = {p.untyped_storage().data_ptr() for network in task.networks.values() for p in network.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    largest = 0
    optimizer_steps = task.optimizer_steps(task.collate([task.dataset[0]]), Progress(0, 0))
    precision = recipe.training.precision
    half = torch.float16 if precision == "float16" else torch.bfloat16
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", half, enabled=precision != "float32"),
    ):
        for _ in optimizer_steps:
            largest = max(largest, sum(saved.values()))
            saved.clear()
    return largest
