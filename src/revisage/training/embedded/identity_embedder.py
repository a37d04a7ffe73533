"""Training the identity embedder: views of faces, a contrastive loss.

There is one photo a person, so similarity is learnt: a degraded or restored view of a photo is the same face, other
people's photos are not, and neither is the photo with its features moved or exchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.errors import RecipeError
from revisage.evaluation.metrics.faces import verification
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.metrics.networks import image_batch
from revisage.models.checkpoint import Header
from revisage.models.nets.face_embedder import CANVAS, FaceEmbedder
from revisage.training.checks import Problems
from revisage.training.config import Strict
from revisage.training.data.degradations.recipes import DegradationSettings, Steps, StepSettings
from revisage.training.data.sources import read_crops
from revisage.training.distributed import World
from revisage.training.embedded.contrastive_views import ContrastiveViews, group_by_key
from revisage.training.losses.features import supervised_contrastive_loss
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import NetworkConfig, initial_network
from revisage.training.tasks.samples import PairsConfig, image_grid, read_pairs


class FaceEmbedderConfig(NetworkConfig):
    """Of :class:`FaceEmbedder`."""

    network = FaceEmbedder
    type: Literal["FaceEmbedder"] = "FaceEmbedder"
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (16, 32, 80, 112)
    blocks: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt] = (1, 1, 2, 1)
    size: PositiveInt = 128


class IdentityEmbedderConfig(Strict):
    """A training of the identity embedder.

    Attributes:
        crops: folders of aligned square crops, one a person.
        name_prefixes: beginnings of the file names to use, say the sources whose licence allows it.
        restored: folders of what a restorer made of them when they were degraded, under the same names.
        color_steps: done to every view.
        degradation: of these each view meets one; in pixels of a face of ``CANVAS`` (136).
        temperature: of the loss.
        validation: name -> pairs of images of the same people.
    """

    kind: Literal["identity_embedder"]
    crops: tuple[Path, ...] = Field(min_length=1)
    name_prefixes: tuple[str, ...] = ("",)
    restored: tuple[Path, ...] = ()
    color_steps: tuple[StepSettings, ...] = ()
    degradation: tuple[DegradationSettings, ...] = Field((Steps(()),), min_length=1)
    network: FaceEmbedderConfig = FaceEmbedderConfig()
    initial_weights: Path | None = None
    temperature: PositiveFloat = 0.1
    validation: dict[str, PairsConfig] = Field(default_factory=dict)

    def metrics_of_validation(self) -> dict[str, str]:
        better = {"auc": "higher", "eer": "lower", "threshold_1": "lower", "same": "higher", "different": "lower"}
        return {f"{name}/{key}": value for name in self.validation for key, value in better.items()}

    def build(self, seed: int, missing: Collection[str] = ()) -> IdentityEmbedderTask:
        return IdentityEmbedderTask(self, seed, missing)


class IdentityEmbedderTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: IdentityEmbedderConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = problems.attempt(
                lambda: initial_network(config.network.build, config.initial_weights), "task.initial_weights"
            )
            self.dataset = problems.attempt(lambda: self._read_views(seed), "task.crops", "task.restored")
            self._pairs = {
                name: problems.attempt(lambda name=name: self._read_pairs(name), f"task.validation.{name}")
                for name in config.validation
            }

    def _read_views(self, seed: int) -> ContrastiveViews:
        config = self.config
        crops = read_crops(config.crops, config.name_prefixes)
        if len(crops) < 2:
            raise RecipeError("task.crops: faces are told from others, so at least two are needed")
        return ContrastiveViews(
            crops,
            group_by_key([read_crops([folder], config.name_prefixes) for folder in config.restored]),
            size=CANVAS,
            color_steps=config.color_steps,
            degradations=config.degradation,
            seed=seed,
        )

    def _read_pairs(self, name: str) -> list[tuple[RGB8, RGB8]]:
        pairs = read_pairs(self.config.validation[name], CANVAS, name)
        if len(pairs) < 2:
            raise RecipeError(f"task.validation.{name}: people are told from others, so at least two pairs are needed")
        return pairs

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"embedder": self.network}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:  # noqa: ARG002
        """The contrastive loss; of each sample's four views the first two show one face, the others another."""
        views = batch["views"].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        labels = torch.arange(len(views) // 2, device=views.device).repeat_interleave(2)
        embeddings = self.network(views)
        yield "embedder", {"contrastive": supervised_contrastive_loss(embeddings, labels, self.config.temperature)}

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """For every set of pairs, how well both images of a person are told from images of two people."""
        network.eval()
        metrics: dict[str, float] = {}
        for name, pairs in self._pairs.items():
            shard = [pairs[index] for index in world.shard(len(pairs))]
            found = world.gather([[network(image_batch([one], network))[0].cpu() for one in pair] for pair in shard])
            metrics |= {f"{name}/{key}": value for key, value in _verify(found).items()}
        return ValidationResult(metrics)

    def header(self) -> Header:
        return self.config.network.header()

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(*batch["views"].unbind(1))


def _verify(pairs: list[Any]) -> dict[str, float]:
    first, second = (torch.stack(side).numpy() for side in zip(*pairs, strict=True))
    similarities = np.asarray(first @ second.T)
    itself = np.eye(len(similarities), dtype=bool)
    return verification(similarities[itself], similarities[~itself])
