"""GFP-GAN (Wang et al. 2021, arXiv 2101.04061): a U-Net finds style and conditions for a StyleGAN2 face prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.stylegan2 import StyleGAN2GeneratorCSFT
from revisage.models.nets.stylegan2_core import StyleGAN2Core, channels_by_resolution, downsample2, upsample2


class ResBlock(nn.Module):
    """Residual block that halves ("down") or doubles ("up") the size, bilinearly."""

    def __init__(self, in_channels: int, out_channels: int, mode: Literal["down", "up"] = "down") -> None:
        super().__init__()
        self.mode = mode
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H/2, W/2) or (N, out, 2H, 2W)."""
        resize = downsample2 if self.mode == "down" else upsample2
        y = F.leaky_relu(self.conv1(x), 0.2, inplace=True)
        y = F.leaky_relu(self.conv2(resize(y)), 0.2, inplace=True)
        # A 1x1 convolution without bias commutes with resizing: do it where the image is small.
        skip = self.skip(resize(x)) if self.mode == "down" else resize(self.skip(x))
        return y + skip


class _ActivatedConv2d(nn.Conv2d):
    """Convolution and leaky ReLU under the keys of a convolution."""

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(input), 0.2, inplace=True)


def _condition(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
    )


@dataclass(frozen=True)
class UNetLayers:
    """Layers of a GFP-GAN U-Net; each builds one from (in_channels, out_channels).

    Attributes:
        first: 1x1, activated.
        down: residual block that halves the size.
        final: 3x3, activated.
        up: residual block that doubles the size.
        to_rgb: 1x1 to colors.
        linear: flattened features to styles.
        scale: features to factors of a feature transform.
        shift: features to summands of a feature transform.
    """

    first: Callable[[int, int], nn.Module]
    down: Callable[[int, int], nn.Module]
    final: Callable[[int, int], nn.Module]
    up: Callable[[int, int], nn.Module]
    to_rgb: Callable[[int, int], nn.Module]
    linear: Callable[[int, int], nn.Module]
    scale: Callable[[int, int], nn.Module]
    shift: Callable[[int, int], nn.Module]


CLEAN_LAYERS = UNetLayers(
    first=partial(_ActivatedConv2d, kernel_size=1),
    down=partial(ResBlock, mode="down"),
    final=partial(_ActivatedConv2d, kernel_size=3, padding=1),
    up=partial(ResBlock, mode="up"),
    to_rgb=partial(nn.Conv2d, kernel_size=1),
    linear=nn.Linear,
    scale=_condition,
    shift=_condition,
)


class GFPGANCore(nn.Module):
    """The U-Net and its way through the decoder, as all GFP-GANs share them; they differ in their layers.

    Args:
        layers: of the U-Net.
        decoder: the face prior, twice as wide as the U-Net.
        out_size: size of the images.
        channel_multiplier: multiplies the channels from 64x64 on.
        narrow: multiplies all channels.
        fix_decoder: the decoder is not trained.
        input_is_latent: styles bypass the decoder's mapping network.
        different_w: one style a layer instead of one for all.
    """

    def __init__(
        self,
        layers: UNetLayers,
        decoder: StyleGAN2Core,
        out_size: int,
        channel_multiplier: float,
        narrow: float,
        fix_decoder: bool,
        input_is_latent: bool,
        different_w: bool,
    ) -> None:
        super().__init__()
        self.out_size = out_size
        self.input_is_latent = input_is_latent
        self.different_w = different_w
        self.num_style_feat = decoder.num_style_feat
        widths = channels_by_resolution(channel_multiplier, 0.5 * narrow)
        rising = [widths[2**i] for i in range(2, decoder.log_size + 1)]  # from 4x4 to out_size
        steps = list(pairwise(rising))
        styles = decoder.num_latent if different_w else 1

        self.conv_body_first = layers.first(3, rising[-1])
        self.conv_body_down = nn.ModuleList(layers.down(fine, coarse) for coarse, fine in reversed(steps))
        self.final_conv = layers.final(rising[0], rising[0])
        self.conv_body_up = nn.ModuleList(layers.up(coarse, fine) for coarse, fine in steps)
        self.toRGB = nn.ModuleList(layers.to_rgb(width, 3) for width in rising[1:])
        self.final_linear = layers.linear(rising[0] * 16, styles * self.num_style_feat)
        self.stylegan_decoder = decoder.requires_grad_(not fix_decoder)
        # Conditions act on all of the decoder's channels, or on half of them, rounded down as the U-Net's are.
        whole = channels_by_resolution(channel_multiplier, narrow)
        acted = rising[1:] if decoder.sft_half else [whole[2**i] for i in range(3, decoder.log_size + 1)]
        conditions = list(zip(rising[1:], acted, strict=True))
        self.condition_scale = nn.ModuleList(layers.scale(width, out) for width, out in conditions)
        self.condition_shift = nn.ModuleList(layers.shift(width, out) for width, out in conditions)

    def forward(
        self,
        x: Tensor,
        return_latents: bool = False,
        return_rgb: bool = True,
        randomize_noise: bool = False,
        *,
        noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, list[Tensor]] | tuple[Tensor, list[Tensor], Tensor]:
        """Restore aligned faces; the same result every time unless random noise is asked for.

        Args:
            x: (N, 3, out_size, out_size) RGB in [-1, 1].
            return_latents: also return the styles.
            return_rgb: also return the RGB pyramid of the U-Net (for the pyramid loss); else the list is empty.
            randomize_noise: draw the decoder's noise afresh instead of taking the stored.
            noise: one tensor (1 or N, 1, H, W) a decoder layer instead of the stored ones.
            generator: source of the noise; giving one implies ``randomize_noise``.

        Returns:
            restored faces like ``x``, not clamped; RGB pyramid (N, 3, S, S) for S = 8, 16, ... out_size; with
            ``return_latents`` also styles (N, num_latent, num_style_feat) as the decoder used them.

        Raises:
            ValueError: ``x`` has another size.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, self.out_size, self.out_size):
            raise ValueError(f"expected (N, 3, {self.out_size}, {self.out_size}), got {tuple(x.shape)}")
        style, levels = self._encode(x)
        conditions: list[Tensor] = []
        for features, scale, shift in zip(levels, self.condition_scale, self.condition_shift, strict=True):
            conditions += [scale(features), shift(features)]
        pyramid = [to_rgb(f) for to_rgb, f in zip(self.toRGB, levels, strict=True)] if return_rgb else []
        image, latents = self.stylegan_decoder(
            [style],
            conditions,
            input_is_latent=self.input_is_latent,
            noise=noise,
            randomize_noise=randomize_noise,
            generator=generator,
            return_latents=return_latents,
        )
        return (image, pyramid, latents) if return_latents else (image, pyramid)

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Faces -> style (N, [num_latent,] num_style_feat) and the features of 8x8, 16x16, ... out_size."""
        features = self.conv_body_first(x)
        skips: list[Tensor] = []
        for down in self.conv_body_down:
            features = down(features)
            skips.append(features)
        features = self.final_conv(features)
        style = self.final_linear(features.flatten(1))
        if self.different_w:
            style = style.unflatten(1, (-1, self.num_style_feat))
        levels: list[Tensor] = []
        for up, skip in zip(self.conv_body_up, reversed(skips), strict=True):
            features = up(features + skip)
            levels.append(features)
        return style, levels


class GFPGANv1Clean(GFPGANCore):
    """GFP-GAN 1.2, 1.3 and 1.4 (published with channel_multiplier 2, input_is_latent, different_w and sft_half).

    Weights come in by ``load_state_dict`` under the official keys; those of a face prior alone by
    ``network.stylegan_decoder.load_state_dict``.

    Args, besides those of ``GFPGANCore``:
        num_style_feat: length of a style.
        num_mlp: layers of the decoder's mapping network.
        sft_half: conditions act on half of the decoder's channels only.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int = 512,
        channel_multiplier: float = 1,
        fix_decoder: bool = True,
        num_mlp: int = 8,
        input_is_latent: bool = False,
        different_w: bool = False,
        narrow: float = 1,
        sft_half: bool = False,
    ) -> None:
        decoder = StyleGAN2GeneratorCSFT(out_size, num_style_feat, num_mlp, channel_multiplier, narrow, sft_half)
        super().__init__(
            CLEAN_LAYERS, decoder, out_size, channel_multiplier, narrow, fix_decoder, input_is_latent, different_w
        )
