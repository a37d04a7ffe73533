"""Training RestoreFormer and RestoreFormer++ on a dictionary that has been learnt.

The second stage (Wang et al. 2022, arXiv 2201.06374, sections 3.3-3.4; Wang et al. 2023, arXiv 2308.07228).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.evaluation.metrics.image import RGB8
from revisage.models.checkpoint import Header, load_strictly
from revisage.models.nets.restoreformer import RestoreFormer
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import RestoreFormerConfig, read_initial_weights, restorer_header
from revisage.training.tasks.pairs import MetricsConfig, Pairs, PairsConfig
from revisage.training.tasks.samples import DegradedFacesConfig
from revisage.training.tasks.sheets import image_grid
from revisage.training.tasks.vqgan import VQGANLoss, VQGANLossConfig


class RestoreFormerTaskConfig(Strict):
    """A training of RestoreFormer.

    Attributes:
        data: faces and how they are degraded.
        size: side of a face in pixels.
        vqgan_weights: weights of the first stage, or of an earlier RestoreFormer. Without ``network.fix_decoder`` the
            decoder is trained further, as in the published training; the codebook is not.
        network: what is trained.
        losses: what it is trained towards.
        validation: name -> pairs.
        metrics: files of the figures taken of them.
    """

    kind: Literal["restoreformer"]
    data: DegradedFacesConfig
    size: PositiveInt = 512
    vqgan_weights: Path
    network: RestoreFormerConfig = RestoreFormerConfig()
    losses: VQGANLossConfig = VQGANLossConfig()
    validation: dict[str, PairsConfig] = Field(default_factory=dict)
    metrics: MetricsConfig = MetricsConfig()

    def build(self, seed: int) -> RestoreFormerTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return RestoreFormerTask(self, seed)


class RestoreFormerTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: RestoreFormerTaskConfig, seed: int) -> None:
        self.config = config
        self.network = config.network.build()
        load_vqgan_weights(
            self.network, read_initial_weights(config.vqgan_weights, "task.vqgan_weights"), str(config.vqgan_weights)
        )
        self.game = VQGANLoss(config.losses)
        self.dataset = config.data.build(config.size, seed)
        self._pairs = Pairs(config.validation, config.size, config.metrics)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The restorer, and its opponents if there are any."""
        return {"generator": self.network, **self.game.opponents}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """The restorer's turn, then the discriminators'."""
        return self.game.optimizer_steps(self.network, batch["lq"], batch, progress)

    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """All figures of every set of pairs, beside the input's."""
        return self._pairs.examine(network, world)

    def header(self) -> Header:
        """The network's class and constructor arguments, and the side of a face."""
        return restorer_header(self.config.network, self.config.size)

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        """Degraded above original."""
        return image_grid(batch["lq"], batch["gt"])


def load_vqgan_weights(network: RestoreFormer, learnt: Mapping[str, Tensor], source: str) -> None:
    """Copy the weights of a dictionary, or of another RestoreFormer.

    RestoreFormer++ looks at more scales than the dictionary does; what it has there besides stays as it is.

    Raises:
        CheckpointError: other keys are missing, or any is left over or of another shape.
    """
    own = network.state_dict()
    extra = {key: own[key] for key in own.keys() - learnt.keys() if re.match(r"decoder\.up\.\d+\.attn\.", key)}
    load_strictly(network, extra | dict(learnt), source)
