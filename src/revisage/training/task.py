"""What is trained: networks with their samples, losses and examination. The loop knows nothing else about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from revisage.training.distributed import World

Turn = tuple[str, dict[str, Tensor]]
"""A player's name and the weighted terms whose sum it minimises."""


@dataclass(frozen=True)
class Examination:
    """What a validation found.

    Attributes:
        metrics: name -> figure.
        sheet: (H, W, 3) uint8 RGB, samples to look at; None if there are none.
    """

    metrics: dict[str, float]
    sheet: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Moment:
    """How far a run has come at the beginning of a step."""

    images: int
    step: int


class Task(Protocol):
    """The contract between a kind of training and the loop.

    ``dataset[i]`` is defined for every i >= 0 and depends on the recipe's seed and on i alone: that is what makes a
    resumed run see the samples that an uninterrupted one would have seen, whatever the number of workers.
    """

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The networks in training, each with an optimizer; the averaged copy of the first is examined and kept."""
        ...

    @property
    def dataset(self) -> Dataset[Any]:
        """Samples by image count."""
        ...

    def collate(self, samples: list[Any], /) -> Any:
        """List of samples -> batch of tensors."""
        ...

    def turns(self, batch: Any, moment: Moment) -> Iterator[Turn]:
        """One step, turn by turn: who learns next, and from which terms.

        The loop lets the player take its step before it asks for the next turn. Which turns there are depends on
        ``moment``, not on the batch. Random numbers come from torch's global
        generator, which is seeded for each turn.
        """
        ...

    def validate(self, network: nn.Module, world: World) -> Examination:
        """Examine ``network`` (averaged, in eval mode), a share of the samples in each process of ``world``."""
        ...

    def describe(self) -> dict[str, Any]:
        """``architecture`` and ``arguments`` for the header of the weight file."""
        ...

    def sheet(self, batch: Any) -> NDArray[np.uint8]:
        """A batch as a picture, (H, W, 3) uint8 RGB: what the networks will see."""
        ...
