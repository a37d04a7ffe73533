"""Networks as recipes name them: ``type`` and the published constructor arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from revisage.errors import RecipeError
from revisage.models.build import read_state
from revisage.models.checkpoint import Header, load_strictly
from revisage.models.nets.discriminators import NLayerDiscriminator, PatchDiscriminator, StyleGAN2Discriminator
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANv1
from revisage.models.nets.restoration_unet import COARSE, FINE, CoarseToFineUNet, RestorationUNet
from revisage.models.nets.restoreformer import VQVAEGAN, RestoreFormer
from revisage.models.nets.stylegan2 import StyleGAN2GeneratorClean
from revisage.models.nets.stylegan2_fir import StyleGAN2Generator
from revisage.training.config import Strict, read_file

Network = TypeVar("Network", bound=nn.Module)


class NetworkConfig(Strict):
    """The arguments of the constructor ``network``; files of initial weights (``..._weights``) are none of them."""

    network: ClassVar[type[nn.Module]]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, which the header of a weights file holds as well."""
        names = {name for name in type(self).model_fields if name != "type" and not name.endswith("_weights")}
        return self.model_dump(include=names)

    def build(self) -> Any:
        """The network, freshly initialized but for initial weights (RecipeError: arguments do not fit each other)."""
        try:
            return type(self).network(**self.arguments)
        except ValueError as error:
            raise RecipeError(f"arguments of the network {type(self).network.__name__}: {error}") from error

    def header(self, size: int | None = None) -> Header:
        """The header of a weights file; ``size``: side of a restorer's images."""
        return Header(type(self).network.__name__, self.model_dump(mode="json", include=set(self.arguments)), size)


class LevelsConfig(Strict):
    """The levels of a :class:`RestorationUNet`."""

    widths: tuple[PositiveInt, ...]
    blocks: tuple[PositiveInt, ...]
    unshuffle: PositiveInt = 2
    position_sizes: tuple[NonNegativeInt, ...] = ()
    attention: tuple[NonNegativeInt, ...] = ()
    normalized: tuple[bool, ...] = ()
    noise: NonNegativeInt = 0


class RestorationUNetConfig(LevelsConfig, NetworkConfig):
    """Of :class:`RestorationUNet`."""

    network = RestorationUNet
    type: Literal["RestorationUNet"] = "RestorationUNet"
    widths: tuple[PositiveInt, ...] = (24, 48, 96, 160, 160)
    blocks: tuple[PositiveInt, ...] = (1, 2, 2, 2, 2)


class CoarseToFineUNetConfig(NetworkConfig):
    """Of :class:`CoarseToFineUNet`.

    Attributes:
        coarse_weights, fine_weights: initial weights of one of the two networks, files of a :class:`RestorationUNet`.
            The fine one starts as if its input were the coarse one's result.
    """

    network = CoarseToFineUNet
    type: Literal["CoarseToFineUNet"] = "CoarseToFineUNet"
    coarse: LevelsConfig = LevelsConfig(**COARSE)
    fine: LevelsConfig = LevelsConfig(**FINE)
    factor: PositiveInt = 4
    coarse_weights: Path | None = None
    fine_weights: Path | None = None

    def build(self) -> CoarseToFineUNet:
        network: CoarseToFineUNet = super().build()
        load_initial_weights(network.coarse, self.coarse_weights, "task.network.coarse_weights")
        if self.fine_weights is not None:
            state = read_initial_weights(self.fine_weights, "task.network.fine_weights")
            stem = state.get("stem.weight")
            if stem is not None and 2 * stem.shape[1] == network.fine.stem.in_channels:
                state["stem.weight"] = torch.cat([torch.zeros_like(stem), stem], 1)
            load_strictly(network.fine, state, str(self.fine_weights))
        return network


class _GFPGANConfig(NetworkConfig):
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

    def build(self) -> nn.Module:
        network: nn.Module = super().build()
        if self.decoder_weights is not None:
            prior = network.get_submodule("stylegan_decoder")
            state = read_initial_weights(self.decoder_weights, "task.network.decoder_weights")
            own_noise = {key: value for key, value in prior.state_dict().items() if key.startswith("noises.")}
            load_strictly(prior, own_noise | state, str(self.decoder_weights))
        return network


class GFPGANv1CleanConfig(_GFPGANConfig):
    """Of :class:`GFPGANv1Clean`."""

    network = GFPGANv1Clean
    type: Literal["GFPGANv1Clean"] = "GFPGANv1Clean"
    channel_multiplier: float = 2


class GFPGANv1Config(_GFPGANConfig):
    """Of :class:`GFPGANv1`."""

    network = GFPGANv1
    type: Literal["GFPGANv1"] = "GFPGANv1"
    channel_multiplier: float = 1
    resample_kernel: tuple[float, ...] = (1, 3, 3, 1)
    lr_mlp: float = 0.01


class VQVAEGANConfig(NetworkConfig):
    """Of :class:`VQVAEGAN`, which learns RestoreFormer's dictionary; the defaults are published."""

    network = VQVAEGAN
    type: Literal["VQVAEGAN"] = "VQVAEGAN"
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
    fix_codebook: bool = False


class RestoreFormerConfig(VQVAEGANConfig):
    """Of :class:`RestoreFormer`; RestoreFormer++ has 4 heads and one extra scale."""

    network = RestoreFormer
    type: Literal["RestoreFormer"] = "RestoreFormer"  # pyright: ignore[reportIncompatibleVariableOverride]
    fix_codebook: bool = True
    ex_multi_scale_num: NonNegativeInt = 0


class StyleGAN2GeneratorCleanConfig(NetworkConfig):
    """Of :class:`StyleGAN2GeneratorClean`; the defaults are those of the released priors."""

    network = StyleGAN2GeneratorClean
    type: Literal["StyleGAN2GeneratorClean"] = "StyleGAN2GeneratorClean"
    out_size: PositiveInt = 512
    num_style_feat: PositiveInt = 512
    num_mlp: PositiveInt = 8
    narrow: float = 1
    channel_multiplier: float = 2


class StyleGAN2GeneratorConfig(StyleGAN2GeneratorCleanConfig):
    """Of :class:`StyleGAN2Generator`; the defaults are those of the released priors."""

    network = StyleGAN2Generator
    type: Literal["StyleGAN2Generator"] = "StyleGAN2Generator"  # pyright: ignore[reportIncompatibleVariableOverride]
    channel_multiplier: float = 1
    resample_kernel: tuple[int, ...] = (1, 3, 3, 1)
    lr_mlp: float = 0.01


class StyleGAN2DiscriminatorConfig(NetworkConfig):
    """Of :class:`StyleGAN2Discriminator`."""

    network = StyleGAN2Discriminator
    type: Literal["StyleGAN2Discriminator"] = "StyleGAN2Discriminator"
    out_size: PositiveInt = 512
    channel_multiplier: float = 1
    narrow: float = 1


class PatchDiscriminatorConfig(NetworkConfig):
    """Of :class:`PatchDiscriminator`."""

    network = PatchDiscriminator
    type: Literal["PatchDiscriminator"] = "PatchDiscriminator"
    width: PositiveInt = 32
    scales: PositiveInt = 2


class NLayerDiscriminatorConfig(NetworkConfig):
    """Of :class:`NLayerDiscriminator`."""

    network = NLayerDiscriminator
    type: Literal["NLayerDiscriminator"] = "NLayerDiscriminator"
    ndf: PositiveInt = 64
    n_layers: PositiveInt = 3


def read_initial_weights(path: Path, setting: str) -> dict[str, Tensor]:
    """Weights from a file of any kind that the project reads (RecipeError: no such file, or no whole one)."""
    return read_file(read_state, path, setting)


def load_initial_weights(network: nn.Module, start: Path | None, setting: str = "task.initial_weights") -> None:
    """Copy the initial weights that a recipe names, if it does."""
    if start is not None:
        load_strictly(network, read_initial_weights(start, setting), str(start))


def initial_network(build: Callable[[], Network], start: Path | None) -> Network:
    """A new network, with the initial weights that a recipe names, if it does."""
    network = build()
    load_initial_weights(network, start)
    return network


def image_and_pyramid(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """The image, and what the levels of the network drew, of networks that return more than the image."""
    if isinstance(output, torch.Tensor):
        return output, []
    image, *more = output
    drawn: Any = more[0] if more and isinstance(more[0], list) else []
    return image, drawn
