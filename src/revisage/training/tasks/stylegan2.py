"""Train StyleGAN2, the prior of faces that GFP-GAN decodes with (Karras et al. 2020, arXiv 1912.04958)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.errors import RecipeError
from revisage.evaluation.metrics.fid import frechet_distance, read_statistics, statistics
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.metrics.networks import inception_features, read_inception
from revisage.models.checkpoint import Header
from revisage.models.nets.inception import FEATURES
from revisage.models.nets.stylegan2_core import StyleGAN2Core
from revisage.training.checks import Problems
from revisage.training.config import Strict, read_file
from revisage.training.distributed import World, current_world
from revisage.training.losses.gan import discriminator_loss, generator_loss, path_length_penalty, r1_penalty
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.gan import freeze
from revisage.training.tasks.networks import (
    StyleGAN2DiscriminatorConfig,
    StyleGAN2GeneratorCleanConfig,
    StyleGAN2GeneratorConfig,
    initial_network,
)
from revisage.training.tasks.samples import FacesConfig, image_grid

GAME = "wgan_softplus"
"""Non-saturating logistic loss (Goodfellow et al. 2014), StyleGAN2's."""


class PathLengthConfig(Strict):
    """How the lengths of the generator's paths are kept even.

    Attributes:
        weight: of the penalty.
        every: steps between two of them; each counts for all.
        shrink: it is taken on so much fewer images than a step has.
        decay: share of the new lengths in their running mean.
    """

    weight: PositiveFloat = 2.0
    every: PositiveInt = 4
    shrink: PositiveInt = 2
    decay: PositiveFloat = 0.01


class FidConfig(Strict):
    """Fréchet inception distance of drawn faces to those that statistics were taken of.

    Attributes:
        network: ``pt_inception-2015-12-05-6726825d.pth``.
        statistics: file, see :func:`revisage.evaluation.metrics.fid.read_statistics`.
        images: how many are drawn; the distance of fewer than published metrics use, 50000, is larger.
    """

    network: Path
    statistics: Path
    images: Annotated[int, Field(ge=2)] = 10_000


class StyleGAN2Config(Strict):
    """A training of StyleGAN2.

    Attributes:
        discriminator: for images of the generator's size.
        r1, r1_every: weight of the discriminator's gradient penalty (0: none), and steps between two of them.
        path_length: None: paths are left alone.
        mixing: probability that a face has the style of two codes.
        samples: drawn at each validation, always from the same codes.
        fid: None: not measured.
    """

    kind: Literal["stylegan2"]
    data: FacesConfig
    network: Annotated[StyleGAN2GeneratorCleanConfig | StyleGAN2GeneratorConfig, Field(discriminator="type")]
    discriminator: StyleGAN2DiscriminatorConfig = StyleGAN2DiscriminatorConfig()
    initial_weights: Path | None = None
    r1: NonNegativeFloat = 10.0
    r1_every: PositiveInt = 16
    path_length: PathLengthConfig | None = PathLengthConfig()
    mixing: NonNegativeFloat = 0.9
    samples: PositiveInt = 16
    fid: FidConfig | None = None

    @model_validator(mode="after")
    def _one_size(self) -> StyleGAN2Config:
        if self.discriminator.out_size != self.network.out_size:
            raise ValueError(
                f"discriminator.out_size is {self.discriminator.out_size}, network.out_size {self.network.out_size}"
            )
        return self

    def metrics_of_validation(self) -> dict[str, str]:
        return dict.fromkeys(("path_length", "fid") if self.fid else ("path_length",), "lower")

    def build(self, seed: int, missing: Collection[str] = ()) -> StyleGAN2Task:
        return StyleGAN2Task(self, seed, missing)


class DiscriminatorState(nn.Module):
    """The discriminator, and the () running mean of path lengths, which a state holds and a weight file does not."""

    path_length: Tensor

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.register_buffer("path_length", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The discriminator's logits."""
        return self.discriminator(x)


class StyleGAN2Task:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: StyleGAN2Config, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        self.seed = seed
        with Problems(missing) as problems:
            self.network = problems.attempt(
                lambda: initial_network(config.network.build, config.initial_weights), "task.initial_weights"
            )
            self.discriminator_state = DiscriminatorState(config.discriminator.build())
            self.dataset = problems.attempt(lambda: config.data.build(config.network.out_size, seed), "task.data")
            self._distance = problems.attempt(lambda: config.fid and _Distance(config.fid), "task.fid")

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.network, "discriminator": self.discriminator_state}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """The discriminator's optimizer step, then the generator's; every few steps each has a penalty besides."""
        gt = batch["gt"]
        with torch.no_grad():
            drawn = self._drawn(len(gt))
        terms = {
            "discriminator": discriminator_loss(self.discriminator_state(gt), self.discriminator_state(drawn), GAME)
        }
        if self.config.r1 and progress.step % self.config.r1_every == 0:
            terms["r1"], _ = r1_penalty(self.discriminator_state, gt, self.config.r1, self.config.r1_every)
        yield "discriminator", terms

        with freeze(self.discriminator_state):
            terms = {"adversarial": generator_loss(self.discriminator_state(self._drawn(len(gt))), GAME)}
        if self.config.path_length and progress.step % self.config.path_length.every == 0:
            terms["path_length"] = self._path_length_term(len(gt), self.config.path_length)
        yield "generator", terms

    def _drawn(self, count: int) -> Tensor:
        return self._synthesize(mixed_latents(self.network, count, self.config.mixing))

    def _synthesize(self, latents: Tensor) -> Tensor:
        return self.network([latents], input_is_latent=True, randomize_noise=True)[0]

    def _path_length_term(self, count: int, settings: PathLengthConfig) -> Tensor:
        count = max(count // settings.shrink, 1)
        latents = mixed_latents(self.network, count, self.config.mixing)
        noise = torch.randn(count, 3, self.config.network.out_size, self.config.network.out_size, device=latents.device)
        mean = self.discriminator_state.path_length
        penalty, updated = path_length_penalty(self._synthesize, latents, noise, mean.clone(), settings.decay)
        current_world().average([updated])
        mean.copy_(updated)
        return settings.weight * settings.every * penalty

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """The running mean of path lengths, the distance if the recipe asks for it, and faces of the same codes."""
        generator = cast(StyleGAN2Core, network).eval()
        metrics = {"path_length": float(self.discriminator_state.path_length)}
        if self._distance:
            metrics["fid"] = self._distance.measure(generator, self.seed, world)
        drawn = torch.cat([_face(generator, self.seed, index) for index in range(self.config.samples)])
        return ValidationResult(metrics, image_grid(*drawn.split(4)) if len(drawn) % 4 == 0 else image_grid(drawn))

    def header(self) -> Header:
        return self.config.network.header()

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(batch["gt"])


def mixed_latents(generator: StyleGAN2Core, count: int, mixing: float) -> Tensor:
    """Styles of random codes, (count, num_latent, num_style_feat), from torch's global random numbers.

    With probability ``mixing`` the layers from some random one on have the style of a second code (Karras et al. 2019,
    arXiv 1812.04948, section 3.1).
    """
    device = generator.constant_input.weight.device
    codes = torch.randn(2 * count, generator.num_style_feat, device=device)
    first, second = generator.get_latent(codes)[:, None].chunk(2)
    layers = torch.arange(generator.num_latent, device=device)
    begins = torch.randint(1, generator.num_latent, (count,), device=device)
    mixed = torch.rand(count, device=device) < mixing
    return torch.where((mixed[:, None] & (layers >= begins[:, None]))[..., None], second, first)


def _face(generator: StyleGAN2Core, seed: int, index: int) -> Tensor:
    """Face number ``index`` of a seed, (1, 3, S, S), always of the same code and the stored noise."""
    random = torch.Generator().manual_seed(seed * 1_000_003 + index)
    code = torch.randn(1, generator.num_style_feat, generator=random)
    return generator([code.to(generator.constant_input.weight.device)])[0]


class _Distance:
    """To the statistics of a recipe."""

    def __init__(self, config: FidConfig) -> None:
        self.images = config.images
        self.network = read_file(read_inception, config.network, "task.fid")
        self.statistics = read_file(read_statistics, config.statistics, "task.fid")
        if (length := len(self.statistics.mean)) != FEATURES:
            raise RecipeError(f"task.fid: {config.statistics} is of {length} features, not of Inception's {FEATURES}")

    def measure(self, generator: StyleGAN2Core, seed: int, world: World) -> float:
        inception = self.network.to(generator.constant_input.weight.device)
        shard = world.shard(self.images)
        own = [
            vector
            for start in range(0, len(shard), 16)
            for vector in inception_features(
                inception, [image_grid(_face(generator, seed, index)) for index in shard[start : start + 16]]
            )
        ]
        return frechet_distance(statistics(world.gather(own)), self.statistics)
