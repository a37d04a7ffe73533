"""Networks as recipes name them: ``type`` and the published constructor arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from revisage.errors import RecipeError, WeightsError
from revisage.models.build import read_state
from revisage.models.checkpoint import Header, load_strictly
from revisage.models.nets.discriminators import NLayerDiscriminator, PatchDiscriminator, StyleGAN2Discriminator
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANv1
from revisage.models.nets.restoration_unet import COARSE, FINE, CoarseToFineUNet, RestorationUNet
from revisage.models.nets.restoreformer import VQVAEGAN, RestoreFormer
from revisage.models.nets.stylegan2 import StyleGAN2GeneratorClean
from revisage.models.nets.stylegan2_fir import StyleGAN2Generator
from revisage.training.config import Strict, weights_file

Network = TypeVar("Network", bound=nn.Module)

_NO_ARGUMENTS = {"type", "decoder_weights", "coarse_weights", "fine_weights"}
"""Settings of networks that their constructors do not take."""


class LevelsConfig(Strict):
    """The levels of a :class:`RestorationUNet`."""

    widths: tuple[PositiveInt, ...]
    blocks: tuple[PositiveInt, ...]
    unshuffle: PositiveInt = 2
    position_sizes: tuple[NonNegativeInt, ...] = ()
    attention: tuple[NonNegativeInt, ...] = ()
    normalized: tuple[bool, ...] = ()


class RestorationUNetConfig(LevelsConfig):
    """Constructor arguments of :class:`RestorationUNet`."""

    type: Literal["RestorationUNet"] = "RestorationUNet"
    widths: tuple[PositiveInt, ...] = (24, 48, 96, 160, 160)
    blocks: tuple[PositiveInt, ...] = (1, 2, 2, 2, 2)

    def build(self) -> nn.Module:
        """The network, freshly initialized."""
        return RestorationUNet(**self.model_dump(exclude={"type"}))


class CoarseToFineUNetConfig(Strict):
    """Constructor arguments of :class:`CoarseToFineUNet`.

    Attributes:
        coarse_weights, fine_weights: initial weights of one of the two networks, files of a :class:`RestorationUNet`.
            The fine one starts as if its input were the coarse one's result.
    """

    type: Literal["CoarseToFineUNet"] = "CoarseToFineUNet"
    coarse: LevelsConfig = LevelsConfig(**COARSE)
    fine: LevelsConfig = LevelsConfig(**FINE)
    factor: PositiveInt = 4
    gate_threshold: NonNegativeFloat = 0
    coarse_weights: Path | None = None
    fine_weights: Path | None = None

    def build(self) -> nn.Module:
        """The network, freshly initialized but for what it begins with."""
        network = CoarseToFineUNet(**self.model_dump(exclude=_NO_ARGUMENTS))
        load_initial_weights(network.coarse, self.coarse_weights, "task.network.coarse_weights")
        if self.fine_weights is not None:
            state = read_initial_weights(self.fine_weights, "task.network.fine_weights")
            stem = state.get("stem.weight")
            if stem is not None and 2 * stem.shape[1] == network.fine.stem.in_channels:
                state["stem.weight"] = torch.cat([torch.zeros_like(stem), stem], 1)
            load_strictly(network.fine, state, str(self.fine_weights))
        return network


class _GFPGANConfig(Strict):
    """Arguments that all GFP-GANs share; the defaults are those of the released 512-pixel networks.

    Attributes:
        decoder_weights: weights of a StyleGAN2 generator that the decoder begins with, the prior.
    """

    out_size: PositiveInt = 512
    num_style_feat: PositiveInt = 512
    fix_decoder: bool = True
    num_mlp: PositiveInt = 8
    input_is_latent: bool = True
    different_w: bool = True
    narrow: float = 1
    sft_half: bool = True
    decoder_weights: Path | None = None

    def _with_prior(self, network: nn.Module) -> nn.Module:
        if self.decoder_weights is not None:
            prior = network.get_submodule("stylegan_decoder")
            state = dict(prior.state_dict()) | read_prior(self.decoder_weights)
            load_strictly(prior, state, str(self.decoder_weights))
        return network


class GFPGANv1CleanConfig(_GFPGANConfig):
    """Constructor arguments of :class:`GFPGANv1Clean`."""

    type: Literal["GFPGANv1Clean"] = "GFPGANv1Clean"
    channel_multiplier: float = 2

    def build(self) -> nn.Module:
        """The network, freshly initialized but for the prior."""
        return self._with_prior(GFPGANv1Clean(**self.model_dump(exclude=_NO_ARGUMENTS)))


class GFPGANv1Config(_GFPGANConfig):
    """Constructor arguments of :class:`GFPGANv1`."""

    type: Literal["GFPGANv1"] = "GFPGANv1"
    channel_multiplier: float = 1
    resample_kernel: tuple[float, ...] = (1, 3, 3, 1)
    lr_mlp: float = 0.01

    def build(self) -> nn.Module:
        """The network, freshly initialized but for the prior."""
        return self._with_prior(GFPGANv1(**self.model_dump(exclude=_NO_ARGUMENTS)))


class _AutoencoderConfig(Strict):
    """Arguments that RestoreFormer shares with the network that learns its dictionary; the defaults are published."""

    n_embed: PositiveInt = 1024
    embed_dim: PositiveInt = 256
    ch: PositiveInt = 64
    out_ch: PositiveInt = 3
    ch_mult: tuple[PositiveInt, ...] = (1, 2, 2, 4, 4, 8)
    num_res_blocks: PositiveInt = 2
    attn_resolutions: tuple[PositiveInt, ...] = (16,)
    dropout: NonNegativeFloat = 0
    in_channels: PositiveInt = 3
    resolution: PositiveInt = 512
    z_channels: PositiveInt = 256
    double_z: bool = False
    enable_mid: bool = True
    fix_decoder: bool = False
    fix_encoder: bool = False
    head_size: PositiveInt = 8


class VQVAEGANConfig(_AutoencoderConfig):
    """Constructor arguments of :class:`VQVAEGAN`."""

    type: Literal["VQVAEGAN"] = "VQVAEGAN"
    fix_codebook: bool = False

    def build(self) -> VQVAEGAN:
        """The network, freshly initialized."""
        return VQVAEGAN(**self.model_dump(exclude={"type"}))


class RestoreFormerConfig(_AutoencoderConfig):
    """Constructor arguments of :class:`RestoreFormer`; RestoreFormer++ has 4 heads and one extra scale."""

    type: Literal["RestoreFormer"] = "RestoreFormer"
    fix_codebook: bool = True
    ex_multi_scale_num: NonNegativeInt = 0

    def build(self) -> RestoreFormer:
        """The network, freshly initialized."""
        return RestoreFormer(**self.model_dump(exclude={"type"}))


class _GeneratorConfig(Strict):
    """Arguments that all StyleGAN2 generators share; the defaults are those of the released priors."""

    out_size: PositiveInt = 512
    num_style_feat: PositiveInt = 512
    num_mlp: PositiveInt = 8
    narrow: float = 1


class StyleGAN2GeneratorCleanConfig(_GeneratorConfig):
    """Constructor arguments of :class:`StyleGAN2GeneratorClean`."""

    type: Literal["StyleGAN2GeneratorClean"] = "StyleGAN2GeneratorClean"
    channel_multiplier: float = 2

    def build(self) -> StyleGAN2GeneratorClean:
        """The network, freshly initialized."""
        return StyleGAN2GeneratorClean(**self.model_dump(exclude={"type"}))


class StyleGAN2GeneratorConfig(_GeneratorConfig):
    """Constructor arguments of :class:`StyleGAN2Generator`."""

    type: Literal["StyleGAN2Generator"] = "StyleGAN2Generator"
    channel_multiplier: float = 1
    resample_kernel: tuple[int, ...] = (1, 3, 3, 1)
    lr_mlp: float = 0.01

    def build(self) -> StyleGAN2Generator:
        """The network, freshly initialized."""
        return StyleGAN2Generator(**self.model_dump(exclude={"type"}))


class StyleGAN2DiscriminatorConfig(Strict):
    """Constructor arguments of :class:`StyleGAN2Discriminator`."""

    type: Literal["StyleGAN2Discriminator"] = "StyleGAN2Discriminator"
    out_size: PositiveInt = 512
    channel_multiplier: float = 1
    narrow: float = 1

    def build(self) -> nn.Module:
        """The network, freshly initialized."""
        return StyleGAN2Discriminator(self.out_size, channel_multiplier=self.channel_multiplier, narrow=self.narrow)


class PatchDiscriminatorConfig(Strict):
    """Constructor arguments of :class:`PatchDiscriminator`."""

    type: Literal["PatchDiscriminator"] = "PatchDiscriminator"
    width: PositiveInt = 32
    scales: PositiveInt = 2

    def build(self) -> nn.Module:
        """The network, freshly initialized."""
        return PatchDiscriminator(self.width, self.scales)


class NLayerDiscriminatorConfig(Strict):
    """Constructor arguments of :class:`NLayerDiscriminator`."""

    type: Literal["NLayerDiscriminator"] = "NLayerDiscriminator"
    ndf: PositiveInt = 64
    n_layers: PositiveInt = 3

    def build(self) -> nn.Module:
        """The network, freshly initialized."""
        return NLayerDiscriminator(ndf=self.ndf, n_layers=self.n_layers)


def constructor_arguments(config: Strict) -> dict[str, Any]:
    """What goes into the header of a weight file as ``arguments``."""
    return config.model_dump(mode="json", exclude=_NO_ARGUMENTS)


def restorer_header(
    network: RestorationUNetConfig
    | CoarseToFineUNetConfig
    | GFPGANv1CleanConfig
    | GFPGANv1Config
    | VQVAEGANConfig
    | RestoreFormerConfig,
    size: int,
) -> Header:
    """The header of a restorer's weights file."""
    return Header(network.type, constructor_arguments(network), size)


def read_initial_weights(path: Path, setting: str) -> dict[str, Tensor]:
    """Initial weights, from a file of any kind that the project reads.

    Raises:
        RecipeError: no such file, or no whole weight file.
    """
    try:
        return read_state(weights_file(path))
    except WeightsError as error:
        raise RecipeError(f"{setting}: {error}") from error


def load_initial_weights(network: nn.Module, start: Path | None, setting: str = "task.initial_weights") -> None:
    """Copy the initial weights that a recipe names, if it does."""
    if start is not None:
        load_strictly(network, read_initial_weights(start, setting), str(start))


def initial_network(build: Callable[[], Network], start: Path | None) -> Network:
    """A new network, with the initial weights that a recipe names, if it does."""
    network = build()
    load_initial_weights(network, start)
    return network


def read_prior(path: Path) -> dict[str, Tensor]:
    """Weights of a StyleGAN2 generator."""
    return read_initial_weights(path, "task.network.decoder_weights")


def image_and_pyramid(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """The image, and what the levels of the network drew, of networks that return more than the image."""
    if isinstance(output, torch.Tensor):
        return output, []
    image, *more = output
    drawn: Any = more[0] if more and isinstance(more[0], list) else []
    return image, drawn
