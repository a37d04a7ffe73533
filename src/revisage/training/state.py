"""Everything a run needs to resume as if it had never stopped."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from revisage.errors import CheckpointError, TrainingError
from revisage.files import atomic_write
from revisage.models.torch_pickle import unpickle
from revisage.training.config import TrainingConfig
from revisage.training.identity import compare
from revisage.training.optimizers import build_optimizer

STATE = "state.pt"
"""Name of the file in the folder of a run."""
_KEYS = {"recipe", "files", "images", "best", "pending", "networks", "ema", "optimizers", "scalers"}


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
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]  # running statistics have to fit the weights
        lerp = torch._foreach_lerp_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        lerp([mine for mine, _ in floats], [theirs for _, theirs in floats], 1 - decay)
        for mine, theirs in pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


@dataclass
class State:
    """A run at one moment.

    Attributes:
        networks: the networks in training, by name.
        ema: averaged copy of the first of them.
        optimizers, scalers: one for each network; a scaler does nothing unless the precision is float16.
        images: count so far.
        best: metric of the best validation so far; of the metric and the images that the settings name now.
        pending: the validation that is due at this count has not come to its end.
        updated: names of the networks that the step in progress has updated already.
        buffers: copies of all buffers before that step, which forward passes change.
    """

    networks: Mapping[str, nn.Module]
    ema: EMA
    optimizers: Mapping[str, torch.optim.AdamW]
    scalers: Mapping[str, torch.amp.GradScaler]
    images: int = 0
    best: float | None = None
    pending: bool = False
    updated: list[str] = field(default_factory=lambda: [])
    buffers: list[Tensor] = field(default_factory=lambda: [])

    @classmethod
    def initial(cls, networks: Mapping[str, nn.Module], training: TrainingConfig) -> State:
        """The state before the first image."""
        network = next(iter(networks.values()))
        device = next(network.parameters()).device.type
        return cls(
            networks,
            EMA(network, training.ema),
            {name: build_optimizer(each, training.optimizer_of(name)) for name, each in networks.items()},
            {name: torch.amp.GradScaler(device, enabled=training.precision == "float16") for name in networks},
        )

    @property
    def network(self) -> nn.Module:
        """The first network."""
        return next(iter(self.networks.values()))

    def begin_step(self) -> None:
        """Note what an unfinished step would leave changed."""
        self.updated = []
        self.buffers = [buffer.clone() for network in self.networks.values() for buffer in network.buffers()]

    def undo_step(self) -> None:
        """Give up an unfinished step: the state is that of the steps before, unless a network is updated already."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        if not self.updated and self.buffers:
            buffers = [buffer for network in self.networks.values() for buffer in network.buffers()]
            for buffer, before in zip(buffers, self.buffers, strict=True):
                buffer.copy_(before)

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write the state atomically; the earlier file stays whole if this fails (OutputError)."""
        content = {
            **identity,
            "images": self.images,
            "best": self.best,
            "pending": self.pending,
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "ema": self.ema.network.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "scalers": {name: scaler.state_dict() for name, scaler in self.scalers.items()},
        }
        with atomic_write(path) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path) -> dict[str, Any]:
        """Read a state that :meth:`save` wrote, and :func:`check_state` found to belong to this run (TrainingError).

        Returns the identity that it was saved with.
        """
        content = _read(path)
        for name, network in self.networks.items():
            network.load_state_dict(content["networks"][name])
            self.optimizers[name].load_state_dict(content["optimizers"][name])
            self.scalers[name].load_state_dict(content["scalers"][name])
        self.ema.network.load_state_dict(content["ema"])
        self.images, self.best, self.pending = (content[key] for key in ("images", "best", "pending"))
        return {key: content[key] for key in ("recipe", "files")}


def check_state(path: Path, identity: dict[str, Any]) -> list[str]:
    """Check that a state belongs to a run; return the settings whose paths are equal, but not the files.

    TrainingError: the file is damaged, or a setting differs that touches the weights.
    """
    differences, changed = compare(_read(path), identity)
    if differences:
        raise TrainingError(f"{path} was made by another recipe: {'; '.join(differences)}; use another run folder")
    return changed


def _read(path: Path) -> dict[str, Any]:
    try:
        content = unpickle(path)
    except (CheckpointError, OSError) as error:
        raise TrainingError(f"{path} is not a whole training state: {error}") from error
    if not isinstance(content, dict) or not content.keys() >= _KEYS:
        raise TrainingError(f"{path} is not a training state")
    return cast(dict[str, Any], content)
