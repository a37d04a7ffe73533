"""Training RestoreFormer's dictionary: an autoencoder of good faces whose code is made of entries of a codebook.

The first stage of RestoreFormer (Wang et al. 2022, arXiv 2201.06374, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.evaluation.metrics.image import RGB8, psnr, ssim
from revisage.images.pixels import to_float, to_tensor
from revisage.models.checkpoint import Header
from revisage.models.nets.restoreformer import VQVAEGAN
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import VQVAEGANConfig, load_initial_weights, restorer_header
from revisage.training.tasks.pairs import SHOWN, PairsConfig, read_pairs
from revisage.training.tasks.samples import FacesConfig
from revisage.training.tasks.sheets import image_grid
from revisage.training.tasks.vqgan import VQGANLoss, VQGANLossConfig


class VQGANConfig(Strict):
    """A training of a dictionary.

    Attributes:
        data: good faces.
        size: side of a face in pixels.
        network: what is trained.
        initial_weights: initial weights.
        losses: what it is trained towards.
        validation: name -> folder of faces to examine on.
        limit: faces of each folder that are.
    """

    kind: Literal["vqgan"]
    data: FacesConfig
    size: PositiveInt = 512
    network: VQVAEGANConfig = VQVAEGANConfig()
    initial_weights: Path | None = None
    losses: VQGANLossConfig = VQGANLossConfig()
    validation: dict[str, Path] = Field(default_factory=dict)
    limit: PositiveInt = 16

    def build(self, seed: int) -> VQGANTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return VQGANTask(self, seed)


class VQGANTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: VQGANConfig, seed: int) -> None:
        self.config = config
        self.network = config.network.build()
        load_initial_weights(self.network, config.initial_weights)
        self.game = VQGANLoss(config.losses)
        self.dataset = config.data.build(config.size, seed)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The autoencoder, and its opponents if there are any."""
        return {"generator": self.network, **self.game.opponents}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """The autoencoder's turn, which is to draw the originals again, then the discriminators'."""
        return self.game.optimizer_steps(self.network, batch["gt"], batch, progress)

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """PSNR and SSIM of every folder's faces drawn again, and how many entries are in use (perplexity)."""
        autoencoder = cast(VQVAEGAN, network).eval()
        found: list[tuple[str, RGB8, float, float, Tensor]] = []
        for place in world.shard(len(self._faces)):
            name, face = self._faces[place]
            code = autoencoder.encode(to_tensor([to_float(face)]).to(autoencoder.quant_conv.weight.device))
            drawn = image_grid(autoencoder.decode(code.quantized, code.features).cpu())
            shown = np.hstack([face, drawn]) if place < SHOWN else face[:0]
            found.append((name, shown, psnr(drawn, face), ssim(drawn, face), code.indices.cpu()))
        found = world.gather(found)
        metrics: dict[str, float] = {}
        for name in self.config.validation:
            own = [entry for entry in found if entry[0] == name]
            metrics[f"{name}/psnr"] = float(np.mean([entry[2] for entry in own]))
            metrics[f"{name}/ssim"] = float(np.mean([entry[3] for entry in own]))
            used = torch.cat([entry[4].flatten() for entry in own]).to(autoencoder.quant_conv.weight.device)
            metrics[f"{name}/perplexity"] = float(autoencoder.quantize.perplexity(used))
        rows = [entry[1] for entry in found if len(entry[1])]
        return ValidationResult(metrics, np.vstack(rows) if rows else None)

    @cached_property
    def _faces(self) -> list[tuple[str, RGB8]]:
        return [
            (name, face)
            for name, folder in self.config.validation.items()
            for face, _ in read_pairs(PairsConfig(gt=folder, lq=folder, limit=self.config.limit), self.config.size)
        ]

    def header(self) -> Header:
        """The network's class and constructor arguments, and the side of a face."""
        return restorer_header(self.config.network, self.config.size)

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        """The originals."""
        return image_grid(batch["gt"])
