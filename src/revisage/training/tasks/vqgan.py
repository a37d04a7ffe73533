"""What both stages of RestoreFormer are trained towards: a faithful picture, near codes, and a game.

VQGAN's objective (Esser et al. 2021, arXiv 2012.09841), to which the restoration adds discriminators of eyes and mouth
and the identity of the face (Wang et al. 2022, arXiv 2201.06374).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from revisage.models.nets.restoreformer import VQVAEGAN, RestoreFormer
from revisage.training.config import Strict
from revisage.training.losses.adversarial import GanLoss, adaptive_weight, discriminator_loss, generator_loss
from revisage.training.losses.components import ComponentCrops
from revisage.training.task import OptimizerStep, Progress
from revisage.training.tasks.adversary import ComponentConfig, ComponentGANLoss, components_of_both, freeze
from revisage.training.tasks.networks import NLayerDiscriminatorConfig
from revisage.training.tasks.terms import AnyIdentityTerm, AnyPerceptualTerm, LossInputs, PixelTerm


class AdaptiveAdversarialConfig(Strict):
    """A discriminator of pictures that pulls as hard as the reconstruction does.

    Attributes:
        discriminator: what it is.
        weight: of the generator's term, besides the weight that adapts.
        loss: what is played for.
    """

    discriminator: NLayerDiscriminatorConfig = NLayerDiscriminatorConfig()
    weight: PositiveFloat = 0.8
    loss: GanLoss = "hinge"


class VQGANLossConfig(Strict):
    """What is left out costs nothing.

    Attributes:
        pixel, perceptual: the reconstruction.
        codebook: weight of the distance between vectors and entries of the dictionary.
        adversarial, components, identity: what begins later.
        start_at: images before which it does not.
    """

    pixel: PixelTerm = PixelTerm()
    perceptual: AnyPerceptualTerm | None = None
    codebook: PositiveFloat = 1.0
    adversarial: AdaptiveAdversarialConfig | None = None
    components: ComponentConfig | None = None
    identity: AnyIdentityTerm | None = None
    start_at: NonNegativeFloat = 0


class VQGANLoss:
    """A dictionary's autoencoder against its discriminators.

    Two things differ between one process and several: batch normalisation sees each process's share of the originals,
    and the adversarial term is weighted by each share's own gradients (as in the published training).
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
    def opponents(self) -> dict[str, nn.Module]:
        """The discriminators, by the names of their networks."""
        whole: dict[str, nn.Module] = {"discriminator": self.discriminator} if self.discriminator else {}
        return whole | (dict(self.components.networks.items()) if self.components else {})

    def optimizer_steps(
        self, network: VQVAEGAN | RestoreFormer, shown: Tensor, batch: Mapping[str, Tensor], progress: Progress
    ) -> Iterator[OptimizerStep]:
        """One step of all networks.

        Args:
            network: the autoencoder.
            shown: what it is to decode, (N, 3, S, S).
            batch: ``gt``, and what the terms ask for, see :class:`LossInputs`.
            progress: how far the run has come.
        """
        picture, distance = network(shown.contiguous(memory_format=torch.channels_last), return_loss=True)
        whole = [(0.0, 0.0)] * len(shown)
        made = LossInputs(picture.float(), batch["gt"], batch["detail"], whole, [], shown.shape[-1], progress.images)
        begun = progress.images >= self.losses.start_at

        terms = {name: term(made) for name, term in self.reconstruction.items()}
        parts = components_of_both(made, batch) if begun and self.components else None
        late = self._late_terms(made, parts, terms, _last_weight(network, made)) if begun else {}
        yield "generator", terms | {"codebook": self.losses.codebook * distance} | late

        if begun and self.discriminator and self.losses.adversarial:
            real, fake = self.discriminator(made.gt), self.discriminator(made.restored.detach())
            yield "discriminator", {"discriminator": discriminator_loss(real, fake, self.losses.adversarial.loss)}
        if self.components and parts:
            yield from self.components.discriminator_turns(*parts)

    def _late_terms(
        self,
        made: LossInputs,
        parts: tuple[ComponentCrops, ComponentCrops] | None,
        reconstruction: Mapping[str, Tensor],
        last: Tensor,
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.discriminator and self.losses.adversarial:
            with freeze(self.discriminator):
                loss = generator_loss(self.discriminator(made.restored), self.losses.adversarial.loss)
            adapted = adaptive_weight(torch.stack(list(reconstruction.values())).sum(), loss, last)
            terms["adversarial"] = self.losses.adversarial.weight * adapted * loss
        if self.components and parts:
            terms |= self.components.generator_terms(*parts)
        if self.identity:
            terms["identity"] = self.identity(made)
        return terms


def _last_weight(network: VQVAEGAN | RestoreFormer, made: LossInputs) -> Tensor:
    """On what gradients are compared: the decoder's last weight, or the picture itself where that is fixed."""
    weight = network.decoder.conv_out.weight
    return weight if weight.requires_grad else made.restored
