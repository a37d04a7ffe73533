"""RestoreFormer and RestoreFormer++ in two stages, with VQGAN's objective.

First a VQGAN: an autoencoder of good faces whose code is inputs of entries of a codebook (Wang et al. 2022, arXiv
2201.06374, section 3.2). Then the restorer with that codebook (sections 3.3-3.4; Wang et al. 2023, arXiv 2308.07228),
with discriminators of eyes and mouth and the identity of the face in the objective.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.evaluation.metrics.image import RGB8, psnr, ssim
from revisage.evaluation.metrics.networks import image_batch
from revisage.models.checkpoint import Header, load_strictly
from revisage.models.nets.restoreformer import VQVAEGAN, RestoreFormer
from revisage.training.checks import Problems, check_sizes
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.losses.components import ComponentCrops
from revisage.training.losses.gan import GanLoss, adaptive_weight, discriminator_loss, generator_loss
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.gan import ComponentConfig, ComponentGANLoss, components_of_both, freeze
from revisage.training.tasks.networks import (
    NLayerDiscriminatorConfig,
    RestoreFormerConfig,
    VQVAEGANConfig,
    initial_network,
    read_initial_weights,
)
from revisage.training.tasks.samples import (
    SHOWN,
    DegradedFacesConfig,
    FacesConfig,
    MetricsConfig,
    PairedValidation,
    PairsConfig,
    image_grid,
    paired_metrics,
    read_pairs,
)
from revisage.training.tasks.terms import AnyIdentityTerm, AnyPerceptualTerm, LossInputs, PixelTerm


class AdaptiveAdversarialConfig(Strict):
    """A discriminator of images whose gradient is scaled to that of the reconstruction; ``weight`` counts besides."""

    discriminator: NLayerDiscriminatorConfig = NLayerDiscriminatorConfig()
    weight: PositiveFloat = 0.8
    loss: GanLoss = "hinge"


class VQGANLossConfig(Strict):
    """Loss terms; a term that is left out costs nothing.

    Attributes:
        pixel, perceptual: the reconstruction.
        codebook: weight of the distance between vectors and entries of the codebook.
        adversarial, components, identity: terms that start at the image count ``start_at``.
    """

    pixel: PixelTerm = PixelTerm()
    perceptual: AnyPerceptualTerm | None = None
    codebook: PositiveFloat = 1.0
    adversarial: AdaptiveAdversarialConfig | None = None
    components: ComponentConfig | None = None
    identity: AnyIdentityTerm | None = None
    start_at: NonNegativeFloat = 0


class VQGANLoss:
    """VQGAN's objective, with discriminators of the image and of its components.

    Two things differ between one process and several: batch normalization uses each process's shard of the originals,
    and the adversarial term is weighted by each shard's own gradients (as in the published training).
    """

    def __init__(self, losses: VQGANLossConfig) -> None:
        self.losses = losses
        self.reconstruction = {"pixel": losses.pixel.build()}
        if losses.perceptual:
            self.reconstruction["perceptual"] = losses.perceptual.build()
        self.identity = losses.identity.build() if losses.identity else None
        self.discriminator = losses.adversarial.discriminator.build() if losses.adversarial else None
        self.components = ComponentGANLoss(losses.components) if losses.components else None

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """The discriminators, by the names of their networks."""
        whole: dict[str, nn.Module] = {"discriminator": self.discriminator} if self.discriminator else {}
        return whole | (dict(self.components.networks.items()) if self.components else {})

    def optimizer_steps(
        self, network: VQVAEGAN | RestoreFormer, shown: Tensor, batch: Mapping[str, Tensor], progress: Progress
    ) -> Iterator[OptimizerStep]:
        """One step of all networks; ``shown`` (N, 3, S, S) is the autoencoder's input."""
        image, distance = network(shown.contiguous(memory_format=torch.channels_last), return_loss=True)
        whole = [(0.0, 0.0)] * len(shown)
        inputs = LossInputs(image.float(), batch["gt"], batch["detail"], whole, [], shown.shape[-1], progress.images)
        started = progress.images >= self.losses.start_at

        terms = {name: term(inputs) for name, term in self.reconstruction.items()}
        parts = components_of_both(inputs, batch) if started and self.components else None
        late = self._late_terms(inputs, parts, terms, _last_weight(network, inputs)) if started else {}
        yield "generator", terms | {"codebook": self.losses.codebook * distance} | late

        if started and self.discriminator and self.losses.adversarial:
            real, fake = self.discriminator(inputs.gt), self.discriminator(inputs.restored.detach())
            yield "discriminator", {"discriminator": discriminator_loss(real, fake, self.losses.adversarial.loss)}
        if self.components and parts:
            yield from self.components.discriminator_steps(*parts)

    def _late_terms(
        self,
        inputs: LossInputs,
        parts: tuple[ComponentCrops, ComponentCrops] | None,
        reconstruction: Mapping[str, Tensor],
        last: Tensor,
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.discriminator and self.losses.adversarial:
            with freeze(self.discriminator):
                loss = generator_loss(self.discriminator(inputs.restored), self.losses.adversarial.loss)
            adapted = adaptive_weight(torch.stack(list(reconstruction.values())).sum(), loss, last)
            terms["adversarial"] = self.losses.adversarial.weight * adapted * loss
        if self.components and parts:
            terms |= self.components.generator_terms(*parts)
        if self.identity:
            terms["identity"] = self.identity(inputs)
        return terms


def _last_weight(network: VQVAEGAN | RestoreFormer, inputs: LossInputs) -> Tensor:
    """On what gradients are compared: the decoder's last weight, or the image itself where that is fixed."""
    weight = network.decoder.conv_out.weight
    return weight if weight.requires_grad else inputs.restored


class VQGANConfig(Strict):
    """A training of a dictionary.

    Attributes:
        validation, limit: name -> folder of faces to validate on, and how many of each are.
    """

    kind: Literal["vqgan"]
    data: FacesConfig
    size: PositiveInt = 512
    network: VQVAEGANConfig = VQVAEGANConfig()
    initial_weights: Path | None = None
    losses: VQGANLossConfig = VQGANLossConfig()
    validation: dict[str, Path] = Field(default_factory=dict)
    limit: PositiveInt = 16

    @model_validator(mode="after")
    def _consistent(self) -> VQGANConfig:
        if self.losses.components:
            raise ValueError("losses.components needs the places of eyes and mouth, which data does not have here")
        return self

    def metrics_of_validation(self) -> dict[str, str]:
        return {f"{name}/{metric}": "higher" for name in self.validation for metric in ("psnr", "ssim", "perplexity")}

    def build(self, seed: int, missing: Collection[str] = ()) -> VQGANTask:
        return VQGANTask(self, seed, missing)


class VQGANTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: VQGANConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = problems.attempt(
                lambda: initial_network(config.network.build, config.initial_weights), "task.initial_weights"
            )
            problems.add(*check_sizes(self.network, size=config.size))
            self.loss = problems.attempt(lambda: VQGANLoss(config.losses), "task.losses")
            self.dataset = problems.attempt(lambda: config.data.build(config.size, seed), "task.data")
            faces = {
                name: problems.attempt(lambda name=name: self._read_faces(name), f"task.validation.{name}")
                for name in config.validation
            }
        self._faces = [(name, face) for name, found in faces.items() for face in found]

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.network, **self.loss.discriminators}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """The autoencoder's optimizer step, then the discriminators'."""
        return self.loss.optimizer_steps(self.network, batch["gt"], batch, progress)

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """PSNR and SSIM of every folder's faces drawn again, and how many entries are in use (perplexity)."""
        autoencoder = cast(VQVAEGAN, network).eval()
        found: list[tuple[str, RGB8, float, float, Tensor]] = []
        for place in world.shard(len(self._faces)):
            name, face = self._faces[place]
            code = autoencoder.encode(image_batch([face], autoencoder))
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

    def _read_faces(self, name: str) -> list[RGB8]:
        folder = self.config.validation[name]
        pairs = PairsConfig(gt=folder, lq=folder, limit=self.config.limit)
        return [face for face, _ in read_pairs(pairs, self.config.size, name)]

    def header(self) -> Header:
        return self.config.network.header(self.config.size)

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(batch["gt"])


class RestoreFormerTaskConfig(Strict):
    """A training of RestoreFormer.

    Attributes:
        vqgan_weights: weights of the first stage, or of an earlier RestoreFormer. Without ``network.fix_decoder`` the
            decoder is trained further, as in the published training; the codebook is not.
        validation, metrics: name -> pairs, and files of the metrics taken of them.
    """

    kind: Literal["restoreformer"]
    data: DegradedFacesConfig
    size: PositiveInt = 512
    vqgan_weights: Path
    network: RestoreFormerConfig = RestoreFormerConfig()
    losses: VQGANLossConfig = VQGANLossConfig()
    validation: dict[str, PairsConfig] = Field(default_factory=dict)
    metrics: MetricsConfig = MetricsConfig()

    @model_validator(mode="after")
    def _consistent(self) -> RestoreFormerTaskConfig:
        if self.losses.components and not self.data.landmarks:
            raise ValueError("losses.components needs the places of eyes and mouth: give data.landmarks")
        return self

    def metrics_of_validation(self) -> dict[str, str]:
        return paired_metrics(self.validation, self.metrics)

    def build(self, seed: int, missing: Collection[str] = ()) -> RestoreFormerTask:
        return RestoreFormerTask(self, seed, missing)


class RestoreFormerTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: RestoreFormerTaskConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = problems.attempt(self._first_stage, "task.vqgan_weights")
            problems.add(*check_sizes(self.network, size=config.size))
            self.loss = problems.attempt(lambda: VQGANLoss(config.losses), "task.losses")
            self.dataset = problems.attempt(lambda: config.data.build(config.size, seed), "task.data")
            self._validation = problems.attempt(
                lambda: PairedValidation(config.validation, config.size, config.metrics, missing)
            )

    def _first_stage(self) -> RestoreFormer:
        weights = self.config.vqgan_weights
        network = self.config.network.build()
        load_vqgan_weights(network, read_initial_weights(weights, "task.vqgan_weights"), str(weights))
        return network

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.network, **self.loss.discriminators}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """The restorer's optimizer step, then the discriminators'."""
        return self.loss.optimizer_steps(self.network, batch["lq"], batch, progress)

    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """All metrics of every set of pairs, beside the input's."""
        return self._validation.validate(network, world)

    def header(self) -> Header:
        return self.config.network.header(self.config.size)

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(batch["lq"], batch["gt"])


def load_vqgan_weights(network: RestoreFormer, learnt: Mapping[str, Tensor], source: str) -> None:
    """Copy the weights of a dictionary, or of another RestoreFormer (CheckpointError: keys are missing or left over).

    RestoreFormer++ looks at more scales than the dictionary does; what it has there besides stays as it is.
    """
    own = network.state_dict()
    extra = {key: own[key] for key in own.keys() - learnt.keys() if re.match(r"decoder\.up\.\d+\.attn\.", key)}
    load_strictly(network, extra | dict(learnt), source)
