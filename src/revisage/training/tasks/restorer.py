"""Train a restorer of aligned faces, the GFP-GAN way: patches or whole faces, loss terms, discriminators."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from revisage.evaluation.metrics.image import RGB8
from revisage.models.checkpoint import Header
from revisage.models.nets.gfpgan import GFPGANCore
from revisage.models.nets.restoration_unet import CoarseToFineUNet, crop_parts
from revisage.training.checks import Problems, check_sizes
from revisage.training.config import Strict
from revisage.training.data.datasets import CropPatches
from revisage.training.data.degradations.recipes import DegradationSettings, Steps, choose_randomly
from revisage.training.data.degradations.steps import Probability
from revisage.training.data.pairs import PairsSource
from revisage.training.data.sources import read_crops
from revisage.training.distributed import World
from revisage.training.losses.image import LATTICE_WINDOW
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.gan import (
    AdversarialConfig,
    ComponentConfig,
    ComponentGANLoss,
    ImageGANLoss,
    components_of_both,
)
from revisage.training.tasks.networks import (
    CoarseToFineUNetConfig,
    GFPGANv1CleanConfig,
    GFPGANv1Config,
    RestorationUNetConfig,
    StyleGAN2DiscriminatorConfig,
    image_and_pyramid,
    initial_network,
)
from revisage.training.tasks.samples import (
    DegradedFacesConfig,
    MetricsConfig,
    PairedValidation,
    PairsConfig,
    image_grid,
    no_degradation_of_pairs,
    paired_metrics,
)
from revisage.training.tasks.terms import (
    AnyIdentityTerm,
    AnyPerceptualTerm,
    ChromaTerm,
    FrequencyTerm,
    LatticeTerm,
    LossInputs,
    PixelTerm,
    PyramidTerm,
    SSIMTerm,
    Term,
)


class Losses(Strict):
    """Loss terms of a restorer; a term that is left out costs nothing."""

    pixel: PixelTerm | None = None
    chroma: ChromaTerm | None = None
    pyramid: PyramidTerm | None = None
    frequency: FrequencyTerm | None = None
    lattice: LatticeTerm | None = None
    ssim: SSIMTerm | None = None
    perceptual: AnyPerceptualTerm | None = None
    identity: AnyIdentityTerm | None = None
    adversarial: AdversarialConfig | None = None
    components: ComponentConfig | None = None

    def comparisons(self) -> dict[str, Term]:
        """The terms that compare with the original, by name."""
        chosen = {
            "pixel": self.pixel,
            "chroma": self.chroma,
            "pyramid": self.pyramid,
            "frequency": self.frequency,
            "lattice": self.lattice,
            "ssim": self.ssim,
            "perceptual": self.perceptual,
            "identity": self.identity,
        }
        return {name: term.build() for name, term in chosen.items() if term is not None}


class RestorerConfig(Strict):
    """A restorer training.

    Attributes:
        data: whole faces, perhaps with the places of eyes and mouth; or else:
        crops: folders of aligned square crops, of which patches are shown; or else:
        pairs: degraded crops with their originals, of which patches are shown.
        name_prefixes: beginnings of the file names to use, such as sources with a suitable licence.
        size: side of a restored face in pixels.
        patch: size of a training sample cut from it; if it is not given, at most ``size``.
        p_face_patch: probability that a patch lies over the face; the others lie anywhere.
        oversample: patches are degraded at this many times their size; for a network that is to see smaller images.
        degradation: (:mod:`revisage.training.data.degradations.recipes`) of several, each sample draws one. Degraded
            images of ``pairs`` become worse by it, if it is given.
        validation, metrics: name -> pairs, and files of the metrics taken of them.
    """

    kind: Literal["restorer"]
    data: DegradedFacesConfig | None = None
    crops: tuple[Path, ...] = ()
    pairs: PairsSource | None = None
    name_prefixes: tuple[str, ...] = ("",)
    size: PositiveInt = 512
    patch: PositiveInt = 256
    p_face_patch: Probability = 0.0
    oversample: PositiveInt = 1
    degradation: tuple[DegradationSettings, ...] = Field((Steps(),), min_length=1)
    network: Annotated[
        RestorationUNetConfig | CoarseToFineUNetConfig | GFPGANv1CleanConfig | GFPGANv1Config,
        Field(discriminator="type"),
    ]
    initial_weights: Path | None = None
    losses: Losses = Losses(pixel=PixelTerm())
    validation: dict[str, PairsConfig] = Field(default_factory=dict)
    metrics: MetricsConfig = MetricsConfig()

    @model_validator(mode="before")
    @classmethod
    def _undegraded(cls, values: object) -> object:
        return no_degradation_of_pairs(values, [[]])

    @model_validator(mode="after")
    def _consistent(self) -> RestorerConfig:
        if sum((self.data is not None, bool(self.crops), self.pairs is not None)) != 1:
            raise ValueError("give either data, for whole faces, or crops or pairs, for patches of them")
        if self.data is None and "patch" in self.model_fields_set and self.patch > self.size:
            raise ValueError(f"patch is {self.patch}, larger than size, {self.size}: patches are cut from faces")
        if self.losses.components and not (self.data and self.data.landmarks):
            raise ValueError("losses.components needs the places of eyes and mouth: give data.landmarks")
        judge = self.losses.adversarial and self.losses.adversarial.discriminator
        side = self.size if self.data else min(self.patch, self.size)
        if isinstance(judge, StyleGAN2DiscriminatorConfig) and judge.out_size != side:
            raise ValueError(f"losses.adversarial.discriminator.out_size is {judge.out_size}, samples have {side}")
        if self.losses.lattice and side < LATTICE_WINDOW:
            raise ValueError(f"losses.lattice needs samples of at least {LATTICE_WINDOW} pixels, they have {side}")
        return self

    def metrics_of_validation(self) -> dict[str, str]:
        return paired_metrics(self.validation, self.metrics)

    def samples(self, seed: int) -> Dataset[Any]:
        """Whole faces or patches, by image count (RecipeError if something is missing)."""
        if self.data is not None:
            return self.data.build(self.size, seed)
        return CropPatches(
            self.pairs.open(self.name_prefixes) if self.pairs else read_crops(self.crops, self.name_prefixes),
            size=self.size,
            patch=min(self.patch, self.size),
            degradation=choose_randomly(self.degradation),
            seed=seed,
            p_face_patch=self.p_face_patch,
            oversample=self.oversample,
            whole=isinstance(self.network, CoarseToFineUNetConfig),
        )

    def build(self, seed: int, missing: Collection[str] = ()) -> RestorerTask:
        return RestorerTask(self, seed, missing)


class RestorerTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: RestorerConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = problems.attempt(
                lambda: initial_network(config.network.build, config.initial_weights),
                "task.network",
                "task.initial_weights",
            )
            sizes = {"size": config.size}
            patch = {} if config.data is not None else {"patch": min(config.patch, config.size)}
            if isinstance(self.network, CoarseToFineUNet):  # sees whole faces, and works patches out at full size
                problems.add(*check_sizes(self.network.fine, **patch))
            else:
                sizes |= patch
            problems.add(*check_sizes(self.network, **sizes))
            self.comparisons = problems.attempt(config.losses.comparisons, "task.losses")
            self.gan = ImageGANLoss(config.losses.adversarial) if config.losses.adversarial else None
            self.components = ComponentGANLoss(config.losses.components) if config.losses.components else None
            self.dataset = problems.attempt(lambda: config.samples(seed), "task.data", "task.crops", "task.pairs")
            self._validation = problems.attempt(
                lambda: PairedValidation(config.validation, config.size, config.metrics, missing)
            )

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        networks: dict[str, nn.Module] = {"generator": self.network}
        if self.gan:
            networks["discriminator"] = self.gan.discriminator
        return networks | (dict(self.components.networks.items()) if self.components else {})

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """The generator's optimizer step, then the discriminators'."""
        started = self.gan is None or progress.images >= self.gan.config.start_at
        gan, components = (self.gan, self.components) if started else (None, None)
        inputs = self._restore(batch, progress)
        parts = components_of_both(inputs, batch) if components else None
        if gan is None or _trains_generator(gan.config, progress):
            terms = {name: term(inputs) for name, term in self.comparisons.items()}
            terms |= gan.generator_terms(inputs) if gan else {}
            yield "generator", terms | (components.generator_terms(*parts) if components and parts else {})
        if gan is not None:
            yield gan.discriminator_step(inputs, progress.step)
        if components and parts:
            yield from components.discriminator_steps(*parts)

    def _restore(self, batch: dict[str, Tensor], progress: Progress) -> LossInputs:
        lq = batch["lq"].contiguous(memory_format=torch.channels_last)
        corner = batch.get("corner", torch.zeros(len(lq), 2))  # a whole face has none
        corners = [(float(left), float(top)) for left, top in corner.tolist()]
        more: dict[str, Any] = {}
        if isinstance(self.network, GFPGANCore):  # a prior's noise is drawn afresh in training and stored for use
            more = {"randomize_noise": True}
        elif isinstance(self.network, CoarseToFineUNet) and "corner" in batch:
            # It sees the whole face and works out the patch.
            more = {"corners": _places(batch), "size": batch["gt"].shape[-1]}
        restored, rgb_pyramid = image_and_pyramid(self.network(lq, **more))
        return LossInputs(
            restored.float(),
            batch["gt"],
            batch["detail"],
            corners,
            rgb_pyramid,
            self.config.size,
            progress.images,
            degraded=_shown(batch),
        )

    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """All metrics of every set of pairs, beside the input's."""
        return self._validation.validate(network, world)

    def header(self) -> Header:
        return self.config.network.header(self.config.size)

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(_shown(batch), batch["gt"])


def _shown(batch: dict[str, Tensor]) -> Tensor:
    """The part of each degraded image that its original shows."""
    lq, side = batch["lq"], batch["gt"].shape[-1]
    return lq if lq.shape[-1] == side else crop_parts(lq, _places(batch), side)


def _places(batch: dict[str, Tensor]) -> list[tuple[int, int]]:
    """Left and top of each sample's patch in its face."""
    return [(round(left), round(top)) for left, top in batch["corner"].tolist()]


def _trains_generator(config: AdversarialConfig, progress: Progress) -> bool:
    return progress.step % config.generator_every == 0 and progress.images >= config.generator_start_at
