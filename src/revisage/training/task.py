"""The contract between a kind of training and the loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from revisage.models.checkpoint import Header
from revisage.training.distributed import World

OptimizerStep = tuple[str, dict[str, Tensor]]
"""Name of a network, and the weighted loss terms whose sum it minimizes."""


@dataclass(frozen=True)
class ValidationResult:
    """Metrics of a validation by name, and samples to look at, (H, W, 3) uint8 RGB or None."""

    metrics: dict[str, float]
    image_grid: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Progress:
    """Images and steps that a run has completed when a step begins."""

    images: int
    step: int


class Task(Protocol):
    """Networks with their samples, losses and validation.

    ``dataset[i]`` is defined for every i >= 0 and depends on the recipe's seed and on i alone: so a resumed run gets
    the samples that an uninterrupted one would have got, whatever the number of workers.
    """

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks in training, an optimizer for each; the EMA of the first is validated and saved."""
        ...

    @property
    def dataset(self) -> Dataset[Any]:
        """Samples by image count."""
        ...

    def collate(self, samples: list[Any], /) -> Any:
        """List of samples -> batch of tensors."""
        ...

    def optimizer_steps(self, batch: Any, progress: Progress) -> Iterator[OptimizerStep]:
        """Yield (network, loss terms) pairs, optimized in order: each before the next is asked for.

        Which networks are yielded depends on ``progress``, not on the batch. Random numbers come from torch's global
        generator, which is seeded for each pair.
        """
        ...

    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """Validate ``network`` (the EMA, in eval mode), on a shard of the samples in each process of ``world``."""
        ...

    def header(self) -> Header:
        """The header of the weights file."""
        ...

    def image_grid(self, batch: Any) -> NDArray[np.uint8]:
        """The inputs and targets of a batch as one image, (H, W, 3) uint8 RGB."""
        ...
