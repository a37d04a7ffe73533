"""Training RestoreFormer and RestoreFormer++ on a dictionary that has been learnt.

The second stage (Wang et al. 2022, arXiv 2201.06374, sections 3.3-3.4; Wang et al. 2023, arXiv 2308.07228).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.evaluation.metrics.image import RGB8
from revisage.models.checkpoint import load_strictly
from revisage.models.nets.restoreformer import RestoreFormer
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.task import Examination, Moment, Turn
from revisage.training.tasks.networks import RestoreFormerConfig, header, read_start
from revisage.training.tasks.pairs import MetricsConfig, Pairs, PairsConfig
from revisage.training.tasks.samples import DegradedConfig
from revisage.training.tasks.sheets import sheet
from revisage.training.tasks.vqgan import VQGANGame, VQGANLosses


class RestorationConfig(Strict):
    """A training of RestoreFormer.

    Attributes:
        data: faces and how they are degraded.
        size: side of a face in pixels.
        dictionary: weights of the first stage, or of an earlier RestoreFormer. Without ``network.fix_decoder`` the
            decoder is trained further, as in the published training; the codebook is not.
        network: what is trained.
        losses: what it is trained towards.
        validation: name -> pairs.
        metrics: files of the figures taken of them.
    """

    kind: Literal["restoreformer"]
    data: DegradedConfig
    size: PositiveInt = 512
    dictionary: Path
    network: RestoreFormerConfig = RestoreFormerConfig()
    losses: VQGANLosses = VQGANLosses()
    validation: dict[str, PairsConfig] = Field(default_factory=dict)
    metrics: MetricsConfig = MetricsConfig()

    def build(self, seed: int) -> RestorationTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return RestorationTask(self, seed)


class RestorationTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: RestorationConfig, seed: int) -> None:
        self.config = config
        self.network = config.network.build()
        begin_with(self.network, read_start(config.dictionary, "task.dictionary"), str(config.dictionary))
        self.game = VQGANGame(config.losses)
        self.dataset = config.data.build(config.size, seed)
        self._pairs = Pairs(config.validation, config.size, config.metrics)

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The restorer, and its opponents if there are any."""
        return {"generator": self.network, **self.game.opponents}

    def turns(self, batch: dict[str, Tensor], moment: Moment) -> Iterator[Turn]:
        """The restorer's turn, then the discriminators'."""
        return self.game.turns(self.network, batch["lq"], batch, moment)

    def validate(self, network: nn.Module, world: World) -> Examination:
        """All figures of every set of pairs, beside the input's."""
        return self._pairs.examine(network, world)

    def describe(self) -> dict[str, Any]:
        """The network's class and constructor arguments, and the side of a face."""
        return header(self.config.network, self.config.size)

    def sheet(self, batch: dict[str, Tensor]) -> RGB8:
        """Degraded above original."""
        return sheet(batch["lq"], batch["gt"])


def begin_with(network: RestoreFormer, learnt: Mapping[str, Tensor], source: str) -> None:
    """Copy the weights of a dictionary, or of another RestoreFormer.

    RestoreFormer++ looks at more scales than the dictionary does; what it has there besides stays as it is.

    Raises:
        CheckpointError: other keys are missing, or any is left over or of another shape.
    """
    own = network.state_dict()
    extra = {key: own[key] for key in own.keys() - learnt.keys() if re.match(r"decoder\.up\.\d+\.attn\.", key)}
    load_strictly(network, extra | dict(learnt), source)
