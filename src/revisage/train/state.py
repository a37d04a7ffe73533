"""Everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from revisage.errors import TrainingError
from revisage.files.atomic import replacing
from revisage.train.config import Training


class Averaged:
    """Exponential moving average of a network's weights and running statistics, by images seen."""

    def __init__(self, network: nn.Module, half_life: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life = half_life

    @torch.no_grad()
    def update(self, network: nn.Module, batch: int, images: int) -> None:
        """Follow ``network`` after a step of ``batch`` images, ``images`` in all.

        Early on the half-life is a twentieth of the run so far, so that the random start is forgotten (Karras et al.
        2020, appendix B).
        """
        decay = 0.5 ** (batch / max(min(self.half_life, 0.05 * images), 1e-8))
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            if mine.is_floating_point():  # running statistics have to fit the averaged weights
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


@dataclass
class State:
    """A run at one moment: images seen, network, averaged network, optimizer."""

    network: nn.Module
    average: Averaged
    optimizer: torch.optim.AdamW
    images: int = 0

    @classmethod
    def fresh(cls, network: nn.Module, training: Training) -> State:
        """The state before the first image."""
        optimizer = torch.optim.AdamW(
            network.parameters(), training.learning_rate, training.betas, weight_decay=training.weight_decay
        )
        return cls(network, Averaged(network, training.ema), optimizer)

    def save(self, path: Path, recipe: dict[str, Any]) -> None:
        """Write the state atomically; the earlier file stays whole if this fails (OutputError)."""
        content = {
            "recipe": recipe,
            "images": self.images,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
        }
        with replacing(path) as temporary:
            torch.save(content, temporary)

    def restore(self, path: Path, recipe: dict[str, Any]) -> None:
        """Read a state that :meth:`save` wrote.

        Raises:
            TrainingError: the file is damaged, or belongs to a recipe that differs in more than its length.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise TrainingError(f"{path} is not a whole training state: {error}") from error
        differences = list(_differences(content["recipe"], recipe))
        if differences:
            raise TrainingError(f"{path} was made by another recipe: {'; '.join(differences)}; use another run folder")
        self.network.load_state_dict(content["network"])
        self.average.network.load_state_dict(content["average"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.images = content["images"]
        rng: Tensor = content["rng"]
        torch.set_rng_state(rng)


RESUMABLE = {f"training.{name}" for name in ("images", "workers", "weights", "validate_every", "save_every")}
"""Settings that may change between two parts of a run."""


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        name = f"{prefix}{key}"
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _differences(before, after, f"{name}.")
        elif before != after and name not in RESUMABLE:
            found.append(f"{name} was {before!r}, is {after!r}")
    return found
