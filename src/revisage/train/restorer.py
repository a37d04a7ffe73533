"""Training a restorer of aligned faces, the GFP-GAN way: patches or whole faces, terms that compare, and a game."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.data.blur import Blur
from revisage.data.crops import CropPatches, CropSample, read_crops
from revisage.data.degradation import FFHQDegradation, one_of
from revisage.data.jpeg import Jpeg
from revisage.data.noise import Noise
from revisage.data.resize import Shrink
from revisage.files.checkpoint import load_strictly
from revisage.tensors import from_float, from_tensor
from revisage.train.adversary import AdversarialConfig, PictureGame
from revisage.train.config import Strict
from revisage.train.distributed import World
from revisage.train.networks import (
    GFPGANv1CleanConfig,
    GFPGANv1Config,
    RestorationUNetConfig,
    constructor_arguments,
    picture_and_pyramid,
    read_start,
)
from revisage.train.pairs import MetricsConfig, Pairs, PairsConfig
from revisage.train.task import Examination, Moment, Turn
from revisage.train.terms import (
    ArcFaceIdentityTerm,
    CosinePerceptualTerm,
    DescriptorIdentityTerm,
    FrequencyTerm,
    PerceptualTerm,
    Pictures,
    PixelTerm,
    PyramidTerm,
    Term,
)

Range = tuple[float, float]


class DegradationConfig(Strict):
    """Ranges of the degradation; the defaults are GFP-GAN's without colour jitter."""

    blur_sigma: Range = (0.1, 10)
    isotropic: float = 0.5
    downsample: Range = (0.8, 8)
    noise: Range = (0, 20)
    jpeg: Range = (60, 100)
    gray: float = 0.01

    def build(self) -> FFHQDegradation:
        """The degradation as a function."""
        steps = Blur(self.blur_sigma, self.isotropic), Shrink(self.downsample), Noise(self.noise), Jpeg(self.jpeg)
        return FFHQDegradation(steps, self.gray)


class Losses(Strict):
    """What a restorer is trained towards. What is left out costs nothing."""

    pixel: PixelTerm | None = None
    pyramid: PyramidTerm | None = None
    frequency: FrequencyTerm | None = None
    perceptual: Annotated[CosinePerceptualTerm | PerceptualTerm, Field(discriminator="network")] | None = None
    identity: Annotated[DescriptorIdentityTerm | ArcFaceIdentityTerm, Field(discriminator="network")] | None = None
    adversarial: AdversarialConfig | None = None

    def comparisons(self) -> dict[str, Term]:
        """The terms that compare with the original, by name."""
        chosen = {
            "pixel": self.pixel,
            "pyramid": self.pyramid,
            "frequency": self.frequency,
            "perceptual": self.perceptual,
            "identity": self.identity,
        }
        return {name: term.build() for name, term in chosen.items() if term is not None}


class RestorerConfig(Strict):
    """A restorer training.

    Attributes:
        crops: folders of aligned square crops.
        only: beginnings of the file names to use, say the sources whose licence allows it.
        size: side of a restored face in pixels.
        patch: side of a training sample cut from it.
        over_face: share of the patches that lie over the face; the others lie anywhere.
        degradation: how originals become inputs; of several, each sample draws one.
        network: what is trained.
        start: weights to begin with.
        losses: what it is trained towards.
        validation: name -> pairs.
        metrics: files of the figures taken of them.
    """

    kind: Literal["restorer"]
    crops: tuple[Path, ...]
    only: tuple[str, ...] = ("",)
    size: PositiveInt = 512
    patch: PositiveInt = 256
    over_face: NonNegativeFloat = 0.0
    degradation: tuple[DegradationConfig, ...] = Field((DegradationConfig(),), min_length=1)
    network: Annotated[RestorationUNetConfig | GFPGANv1CleanConfig | GFPGANv1Config, Field(discriminator="type")]
    start: Path | None = None
    losses: Losses = Losses(pixel=PixelTerm())
    validation: dict[str, PairsConfig] = Field(default_factory=dict)
    metrics: MetricsConfig = MetricsConfig()

    def build(self, seed: int) -> RestorerTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return RestorerTask(self, seed)


class RestorerTask:
    """See :class:`revisage.train.task.Task`."""

    def __init__(self, config: RestorerConfig, seed: int) -> None:
        self.config = config
        self.network = config.network.build()
        if config.start is not None:
            load_strictly(self.network, read_start(config.start, "task.start"), str(config.start))
        self.comparisons = config.losses.comparisons()
        self.game = PictureGame(config.losses.adversarial) if config.losses.adversarial else None
        self.dataset = CropPatches(
            read_crops(config.crops, config.only),
            size=config.size,
            patch=config.patch,
            degradation=one_of([degradation.build() for degradation in config.degradation]),
            seed=seed,
            over_face=config.over_face,
        )
        self._pairs = Pairs(config.validation, config.size, config.metrics)

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """The generator, and its opponents if there are any."""
        return {"generator": self.network} | ({"discriminator": self.game.discriminator} if self.game else {})

    def collate(self, samples: list[CropSample]) -> dict[str, Tensor]:
        """Stack the samples."""
        batch: dict[str, Tensor] = default_collate(samples)
        return batch

    def turns(self, batch: dict[str, Tensor], moment: Moment) -> Iterator[Turn]:
        """The generator's turn, then the discriminator's."""
        game = self.game if self.game and moment.images >= self.game.config.begins else None
        made = self._restored(batch, moment)
        if game is None or _generator_learns(game.config, moment):
            terms = {name: term(made) for name, term in self.comparisons.items()}
            yield "generator", terms | (game.generator_terms(made) if game else {})
        if game is not None:
            yield game.discriminator_turn(made, moment.step)

    def _restored(self, batch: dict[str, Tensor], moment: Moment) -> Pictures:
        lq = batch["lq"].contiguous(memory_format=torch.channels_last)
        restored, drawn = picture_and_pyramid(self.network(lq))
        corners = [(float(left), float(top)) for left, top in batch["corner"].tolist()]
        return Pictures(restored.float(), batch["gt"], batch["detail"], corners, drawn, self.config.size, moment.images)

    def validate(self, network: nn.Module, world: World) -> Examination:
        """All figures of every set of pairs, beside the input's."""
        return self._pairs.examine(network, world)

    def describe(self) -> dict[str, Any]:
        """The network's class and constructor arguments, and the side of a face."""
        network = self.config.network
        return {"architecture": network.type, "arguments": constructor_arguments(network), "size": self.config.size}

    def sheet(self, batch: dict[str, Tensor]) -> NDArray[np.uint8]:
        """Degraded above original."""
        rows = [from_tensor(batch[name]) for name in ("lq", "gt")]
        return np.vstack([np.hstack([np.asarray(from_float(x, np.uint8), np.uint8) for x in row]) for row in rows])


def _generator_learns(game: AdversarialConfig, moment: Moment) -> bool:
    return moment.step % game.generator_every == 0 and moment.images >= game.generator_waits
