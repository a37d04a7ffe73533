"""Training RestoreFormer's dictionary: an autoencoder of good faces whose code is made of entries of a codebook.

The first stage of RestoreFormer (Wang et al. 2022, arXiv 2201.06374, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.evaluation.metrics.image import RGB8, psnr, ssim
from revisage.images.pixels import to_float, to_tensor
from revisage.models.nets.restoreformer import VQVAEGAN
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.task import Examination, Moment, Turn
from revisage.training.tasks.networks import VQVAEGANConfig, begin, header
from revisage.training.tasks.pairs import SHOWN, PairsConfig, read_pairs
from revisage.training.tasks.samples import OriginalsConfig
from revisage.training.tasks.sheets import sheet
from revisage.training.tasks.vqgan import VQGANGame, VQGANLosses


class DictionaryConfig(Strict):
    """A training of a dictionary.

    Attributes:
        data: good faces.
        size: side of a face in pixels.
        network: what is trained.
        start: weights to begin with.
        losses: what it is trained towards.
        validation: name -> folder of faces to examine on.
        limit: faces of each folder that are.
    """

    kind: Literal["dictionary"]
    data: OriginalsConfig
    size: PositiveInt = 512
    network: VQVAEGANConfig = VQVAEGANConfig()
    start: Path | None = None
    losses: VQGANLosses = VQGANLosses()
    validation: dict[str, Path] = Field(default_factory=dict)
    limit: PositiveInt = 16

    def build(self, seed: int) -> DictionaryTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return DictionaryTask(self, seed)


class DictionaryTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: DictionaryConfig, seed: int) -> None:
        self.config = config
        self.network = config.network.build()
        begin(self.network, config.start)
        self.game = VQGANGame(config.losses)
        self.dataset = config.data.build(config.size, seed)

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The autoencoder, and its opponents if there are any."""
        return {"generator": self.network, **self.game.opponents}

    def turns(self, batch: dict[str, Tensor], moment: Moment) -> Iterator[Turn]:
        """The autoencoder's turn, which is to draw the originals again, then the discriminators'."""
        return self.game.turns(self.network, batch["gt"], batch, moment)

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> Examination:
        """PSNR and SSIM of every folder's faces drawn again, and how many entries are in use (perplexity)."""
        autoencoder = cast(VQVAEGAN, network).eval()
        found: list[tuple[str, RGB8, float, float, Tensor]] = []
        for place in world.share(len(self._faces)):
            name, face = self._faces[place]
            code = autoencoder.encode(to_tensor([to_float(face)]).to(autoencoder.quant_conv.weight.device))
            drawn = sheet(autoencoder.decode(code.quantized, code.features).cpu())
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
        return Examination(metrics, np.vstack(rows) if rows else None)

    @cached_property
    def _faces(self) -> list[tuple[str, RGB8]]:
        return [
            (name, face)
            for name, folder in self.config.validation.items()
            for face, _ in read_pairs(PairsConfig(gt=folder, lq=folder, limit=self.config.limit), self.config.size)
        ]

    def describe(self) -> dict[str, Any]:
        """The network's class and constructor arguments, and the side of a face."""
        return header(self.config.network, self.config.size)

    def sheet(self, batch: dict[str, Tensor]) -> RGB8:
        """The originals."""
        return sheet(batch["gt"])
