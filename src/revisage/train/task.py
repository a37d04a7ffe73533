"""What is trained: a network with its samples, losses and examination. The loop knows nothing else about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset


@dataclass(frozen=True)
class Examination:
    """What a validation found.

    Attributes:
        metrics: name -> figure.
        sheet: (H, W, 3) uint8 RGB, samples to look at; None if there are none.
    """

    metrics: dict[str, float]
    sheet: NDArray[np.uint8] | None = None


class Task(Protocol):
    """The contract between a kind of training and the loop.

    ``dataset[i]`` is defined for every i >= 0 and depends on the recipe's seed and on i alone: that is what makes a
    resumed run see the samples that an uninterrupted one would have seen, whatever the number of workers.
    """

    @property
    def network(self) -> nn.Module:
        """The network in training; its averaged copy is what is examined and kept."""
        ...

    @property
    def dataset(self) -> Dataset[Any]:
        """Samples by image count."""
        ...

    def collate(self, samples: list[Any]) -> Any:
        """List of samples -> batch of tensors."""
        ...

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Batch on the network's device -> weighted terms, whose sum is minimised."""
        ...

    def validate(self, network: nn.Module) -> Examination:
        """Examine ``network`` (the averaged weights, in eval mode)."""
        ...

    def describe(self) -> dict[str, Any]:
        """``architecture`` and ``arguments`` for the header of the weight file."""
        ...
