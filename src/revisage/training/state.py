"""Everything a run needs to resume as if it had never stopped."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from revisage.errors import CheckpointError, RecipeError, TrainingError
from revisage.files import atomic_write
from revisage.models.torch_pickle import unpickle
from revisage.training.config import TrainingConfig


class EMA:
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
    """A run at one moment.

    Attributes:
        networks: the networks in training, by name.
        ema: averaged copy of the first of them.
        optimizers, scalers: one for each network; a scaler does nothing unless the precision is float16.
        images: count so far.
        best: metric of the best validation so far.
    """

    networks: Mapping[str, nn.Module]
    ema: EMA
    optimizers: Mapping[str, torch.optim.AdamW]
    scalers: Mapping[str, torch.amp.GradScaler]
    images: int = 0
    best: float | None = None

    @classmethod
    def initial(cls, networks: Mapping[str, nn.Module], training: TrainingConfig) -> State:
        """The state before the first image."""
        unknown = training.optimizers.keys() - networks.keys()
        if unknown:
            raise RecipeError(f"training.optimizers: no network {min(unknown)}; there are {', '.join(networks)}")
        network = next(iter(networks.values()))
        device = next(network.parameters()).device.type
        return cls(
            networks,
            EMA(network, training.ema),
            {name: _optimizer(each, name, training) for name, each in networks.items()},
            {name: torch.amp.GradScaler(device, enabled=training.precision == "float16") for name in networks},
        )

    @property
    def network(self) -> nn.Module:
        """The first network."""
        return next(iter(self.networks.values()))

    def save(self, path: Path, recipe: dict[str, Any]) -> None:
        """Write the state atomically; the earlier file stays whole if this fails (OutputError)."""
        content = {
            "recipe": recipe,
            "images": self.images,
            "best": self.best,
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "ema": self.ema.network.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "scalers": {name: scaler.state_dict() for name, scaler in self.scalers.items()},
        }
        with atomic_write(path) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path, recipe: dict[str, Any]) -> None:
        """Read a state that :meth:`save` wrote.

        Raises:
            TrainingError: the file is damaged, or belongs to a recipe that differs in more than its length.
        """
        try:
            content = unpickle(path)
            differences = _differences(content["recipe"], recipe)
            networks, optimizers, scalers = (content[key] for key in ("networks", "optimizers", "scalers"))
            ema, images, best = (content[key] for key in ("ema", "images", "best"))
        except (CheckpointError, OSError) as error:
            raise TrainingError(f"{path} is not a whole training state: {error}") from error
        except (AttributeError, LookupError, TypeError) as error:
            raise TrainingError(f"{path} is not a training state") from error
        if differences:
            raise TrainingError(f"{path} was made by another recipe: {'; '.join(differences)}; use another run folder")
        for name, network in self.networks.items():
            network.load_state_dict(networks[name])
            self.optimizers[name].load_state_dict(optimizers[name])
            self.scalers[name].load_state_dict(scalers[name])
        self.ema.network.load_state_dict(ema)
        self.images, self.best = images, best


def _optimizer(network: nn.Module, name: str, training: TrainingConfig) -> torch.optim.AdamW:
    settings = training.optimizers.get(name, training.optimizer)
    groups: dict[float, list[nn.Parameter]] = {}
    for key, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(settings.factor(key), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "factor": factor} for factor, parameters in groups.items()],
        settings.learning_rate,
        settings.betas,
        weight_decay=settings.weight_decay,
    )


RESUMABLE = {
    f"training.{name}"
    for name in ("images", "workers", "compile", "weights", "validate_every", "save_every", "best", "tensorboard")
}
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
