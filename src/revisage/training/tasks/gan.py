"""Discriminators of a restorer: of the image, each eye and the mouth (Wang et al. 2021, arXiv 2101.04061, 3.3-3.4).

The generator's terms are part of its optimizer step; the discriminators' optimizer steps follow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from revisage.models.nets.discriminators import FacialComponentDiscriminator
from revisage.training.config import Strict
from revisage.training.losses.components import ComponentCrops, component_crops, component_style_loss
from revisage.training.losses.gan import GanLoss, discriminator_loss, generator_loss, r1_penalty
from revisage.training.task import OptimizerStep
from revisage.training.tasks.networks import PatchDiscriminatorConfig, StyleGAN2DiscriminatorConfig
from revisage.training.tasks.terms import LossInputs

COMPONENTS = ComponentCrops._fields


class AdversarialConfig(Strict):
    """A discriminator of images.

    Attributes:
        weight: of the generator's term.
        r1, r1_every: weight of the gradient penalty (0: none), and steps between two of them.
        start_at: image count at which the adversarial loss starts.
        generator_every, generator_start_at: steps between optimizer steps of the generator, image count of the first.
    """

    discriminator: Annotated[PatchDiscriminatorConfig | StyleGAN2DiscriminatorConfig, Field(discriminator="type")] = (
        PatchDiscriminatorConfig()
    )
    weight: PositiveFloat = 0.1
    loss: GanLoss = "wgan_softplus"
    r1: NonNegativeFloat = 10.0
    r1_every: PositiveInt = 16
    start_at: NonNegativeFloat = 0
    generator_every: PositiveInt = 1
    generator_start_at: NonNegativeFloat = 0


class ComponentConfig(Strict):
    """Discriminators of eyes and mouth; the data must give their boxes.

    Attributes:
        weight: of the generator's term, for each of the three.
        style: weight of the distance between Gram matrices of their features; 0: none.
    """

    weight: PositiveFloat = 1.0
    style: NonNegativeFloat = 200.0


def component_boxes(batch: Mapping[str, Tensor]) -> Tensor:
    """Boxes of left eye, right eye and mouth in a batch, (N, 3, 4); pixels of the whole face."""
    return torch.stack([batch[name] for name in COMPONENTS], dim=1)


def components_of_both(inputs: LossInputs, batch: Mapping[str, Tensor]) -> tuple[ComponentCrops, ComponentCrops]:
    """Eyes and mouth of the restored images and of the originals, cut out once for all networks."""
    boxes = component_boxes(batch)
    return component_crops(inputs.restored, boxes, inputs.size), component_crops(inputs.gt, boxes, inputs.size)


class ImageGANLoss:
    """GAN loss of a discriminator of images, at every scale of its logits."""

    def __init__(self, config: AdversarialConfig) -> None:
        self.config = config
        self.discriminator = config.discriminator.build()

    def generator_terms(self, inputs: LossInputs) -> dict[str, Tensor]:
        """The weighted GAN loss of the generator."""
        with freeze(self.discriminator):
            scales = _at_scales(self.discriminator(inputs.restored), inputs.detail)
        losses = [generator_loss(logits, self.config.loss) for logits in scales]
        return {"adversarial": self.config.weight * torch.stack(losses).mean() if losses else inputs.zero_loss()}

    def discriminator_step(self, inputs: LossInputs, step: int) -> OptimizerStep:
        """The GAN loss of the discriminator, and every few steps its R1 penalty."""
        # Separately: a discriminator that compares the images of a batch must not get originals among restored ones.
        logits = [self.discriminator(images) for images in (inputs.gt, inputs.restored.detach())]
        scales = zip(*(_at_scales(each, inputs.detail) for each in logits), strict=True)
        losses = [discriminator_loss(real, fake, self.config.loss) for real, fake in scales]
        terms = {"discriminator": torch.stack(losses).mean() if losses else 0.0 * _sum(logits[0])}
        if self.config.r1 and step % self.config.r1_every == 0:
            penalty, _ = r1_penalty(self._all_logits, inputs.gt, self.config.r1, self.config.r1_every)
            terms["r1"] = penalty
        return "discriminator", terms

    def _all_logits(self, images: Tensor) -> Tensor:
        logits = self.discriminator(images)
        if isinstance(logits, Tensor):
            return logits
        return torch.stack([scale.flatten(1).mean(1) for scale in logits], dim=1)


class ComponentGANLoss:
    """GAN losses of three discriminators of eyes and mouth."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config
        self.networks = nn.ModuleDict({name: FacialComponentDiscriminator() for name in COMPONENTS})

    def generator_terms(self, restored: ComponentCrops, originals: ComponentCrops) -> dict[str, Tensor]:
        """The weighted GAN losses of the generator, and the distances of style."""
        terms: dict[str, Tensor] = {}
        for name, network, mine, theirs in zip(COMPONENTS, self.networks.values(), restored, originals, strict=True):
            with freeze(network):
                logits, features = network(mine, return_feats=True)
                terms[f"adversarial/{name}"] = self.config.weight * generator_loss(logits, "vanilla")
                if self.config.style:
                    with torch.no_grad():
                        _, targets = network(theirs, return_feats=True)
                    terms[f"style/{name}"] = self.config.style * component_style_loss(features, targets)
        return terms

    def discriminator_steps(self, restored: ComponentCrops, originals: ComponentCrops) -> Iterator[OptimizerStep]:
        """An optimizer step for each discriminator."""
        for name, network, mine, theirs in zip(COMPONENTS, self.networks.values(), restored, originals, strict=True):
            loss = discriminator_loss(network(theirs)[0], network(mine.detach())[0], "vanilla")
            yield name, {f"discriminator/{name}": loss}


@contextmanager
def freeze(network: nn.Module) -> Generator[None]:
    """A context in which the network's parameters get no gradient."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _sum(logits: Tensor | list[Tensor]) -> Tensor:
    return logits.sum() if isinstance(logits, Tensor) else torch.stack([scale.sum() for scale in logits]).sum()


def _at_scales(logits: Tensor | list[Tensor], detail: Tensor) -> list[Tensor]:
    """Logits to train on: at full scale only of samples with detail there; others would teach that smooth is real."""
    scales = [logits] if isinstance(logits, Tensor) else logits
    usable = [scales[0][detail.bool()], *scales[1:]]
    return [scale for scale in usable if len(scale)]
