"""The common part of StyleGAN2 generators (Karras et al. 2020, arXiv 1912.04958): mapping, noise, synthesis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.precision import accurate


def channels_by_resolution(channel_multiplier: float, narrow: float) -> dict[int, int]:
    """Resolution (4, 8, ... 1024) -> feature channels."""
    constant = dict.fromkeys((4, 8, 16, 32), int(512 * narrow))
    return constant | {2**i: int(2 ** (14 - i) * channel_multiplier * narrow) for i in range(6, 11)}


def upsample2(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W), bilinear with half-pixel centers."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def downsample2(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H/2, W/2); at exactly one half, bilinear is the mean of 2x2."""
    return F.avg_pool2d(x, 2)


class NormStyleCode(nn.Module):
    """Scales a code to unit root mean square over dimension 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape and dtype."""
        code = x.to(accurate(x.dtype))
        return (code * torch.rsqrt(code.square().mean(dim=1, keepdim=True) + 1e-8)).to(x.dtype)


class ConstantInput(nn.Module):
    """The learned (1, num_channel, size, size) tensor that synthesis starts from."""

    def __init__(self, num_channel: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, num_channel, size, size))

    def forward(self, batch: int) -> Tensor:
        """-> (batch, num_channel, size, size)."""
        return self.weight.expand(batch, -1, -1, -1)


class StyleGAN2Core(nn.Module):
    """Mapping and synthesis of all StyleGAN2 generators; they differ in the layers they are built from.

    Args:
        out_size: size of the image, a power of two from 8 to 1024.
        num_style_feat: length of a style.
        channel_multiplier: multiplies the channels from 64x64 on.
        narrow: multiplies all channels.
        style_mlp: codes -> styles.
        style_conv: builds a layer from (in_channels, out_channels, sample_mode=...).
        to_rgb: builds a layer from (in_channels, upsample=...).
        sft_half: conditions act on the second half of the channels only; the first half passes untouched.
    """

    def __init__(
        self,
        out_size: int,
        num_style_feat: int,
        channel_multiplier: float,
        narrow: float,
        *,
        style_mlp: nn.Module,
        style_conv: Callable[..., nn.Module],
        to_rgb: Callable[..., nn.Module],
        sft_half: bool = False,
    ) -> None:
        super().__init__()
        self.sft_half = sft_half
        channels = channels_by_resolution(channel_multiplier, narrow)
        if out_size not in channels or out_size < 8:
            raise ValueError(f"out_size is a power of two from 8 to 1024, not {out_size}")
        self.num_style_feat = num_style_feat
        self.log_size = int(math.log2(out_size))
        self.num_layers = 2 * (self.log_size - 2) + 1
        self.num_latent = 2 * self.log_size - 2

        self.style_mlp = style_mlp
        self.constant_input = ConstantInput(channels[4], size=4)
        self.style_conv1 = style_conv(channels[4], channels[4], sample_mode=None)
        self.to_rgb1 = to_rgb(channels[4], upsample=False)
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for i in range(3, self.log_size + 1):
            coarse, fine = channels[2 ** (i - 1)], channels[2**i]
            self.style_convs.append(style_conv(coarse, fine, sample_mode="upsample"))
            self.style_convs.append(style_conv(fine, fine, sample_mode=None))
            self.to_rgbs.append(to_rgb(fine, upsample=True))
        self.noises = nn.Module()
        for layer, shape in enumerate(self._noise_shapes(1)):
            self.noises.register_buffer(f"noise{layer}", torch.randn(shape))

    def forward(
        self,
        styles: Sequence[Tensor],
        conditions: Sequence[Tensor] = (),
        *,
        input_is_latent: bool = False,
        noise: Sequence[Tensor] | None = None,
        randomize_noise: bool = False,
        generator: torch.Generator | None = None,
        truncation: float = 1,
        truncation_latent: Tensor | None = None,
        inject_index: int | None = None,
        return_latents: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Styles -> images; the same ones every time unless random noise is asked for.

        Args:
            styles: one or two codes (N, num_style_feat), or one of (N, num_latent, num_style_feat). Of two, the first
                rules the layers before ``inject_index`` and the second the others (style mixing).
            conditions: scale and shift for 8x8, 16x16, ... as one flat list; each (N, C, H, W). May end early.
            input_is_latent: ``styles`` have been through ``style_mlp`` already.
            noise: one tensor (1 or N, 1, H, W) a layer instead of the stored ones.
            randomize_noise: draw the noise afresh instead of taking the stored.
            generator: source of all random numbers; giving one implies ``randomize_noise``. None: torch's global one.
            truncation: below 1, styles are drawn to ``truncation_latent`` by this factor.
            truncation_latent: (1, num_style_feat), the mean style of many random codes.
            inject_index: drawn at random if None.
            return_latents: also return the styles of each layer.

        Returns:
            (N, 3, out_size, out_size), about [-1, 1], not clamped; styles (N, num_latent, num_style_feat) or None.

        Raises:
            ValueError: ``noise`` has not one tensor a layer, or ``truncation`` has nothing to draw to.
        """
        codes = list(styles) if input_is_latent else [self.style_mlp(code) for code in styles]
        if truncation < 1:
            if truncation_latent is None:
                raise ValueError("truncation below 1 needs a truncation_latent")
            codes = [truncation_latent + truncation * (code - truncation_latent) for code in codes]
        latent = self._latent_of_layers(codes, inject_index, generator)
        if noise is None:
            fresh = randomize_noise or generator is not None
            noise = self.make_noise(latent.shape[0], generator) if fresh else self._stored_noise()
        if len(noise) != self.num_layers:
            raise ValueError(f"expected noise for {self.num_layers} layers, got {len(noise)}")
        image = self._synthesize(latent, conditions, noise)
        return image, latent if return_latents else None

    def make_noise(self, batch: int = 1, generator: torch.Generator | None = None) -> list[Tensor]:
        """Draw noise for every layer: (batch, 1, 4, 4), twice (batch, 1, 8, 8), twice (batch, 1, 16, 16), ..."""
        return [self._randn(shape, generator) for shape in self._noise_shapes(batch)]

    def get_latent(self, x: Tensor) -> Tensor:
        """Codes (N, num_style_feat) -> styles of the same shape."""
        return self.style_mlp(x)

    def _synthesize(self, latent: Tensor, conditions: Sequence[Tensor], noise: Sequence[Tensor]) -> Tensor:
        x = self.constant_input(latent.shape[0])
        x = self.style_conv1(x, latent[:, 0], noise[0])
        rgb = self.to_rgb1(x, latent[:, 1])
        # Consecutive levels share a style: the colors of one and the first convolution of the next.
        for level, to_rgb in enumerate(self.to_rgbs):
            i = 2 * level + 1
            x = self.style_convs[i - 1](x, latent[:, i], noise[i])
            if i < len(conditions):
                x = self._transform(x, scale=conditions[i - 1], shift=conditions[i])
            x = self.style_convs[i](x, latent[:, i + 1], noise[i + 1])
            rgb = to_rgb(x, latent[:, i + 2], rgb)
        return _saturate(rgb, self.constant_input.weight.dtype)

    def _transform(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Spatial feature transform (Wang et al. 2018, arXiv 1804.02815), channel-split as in GFP-GAN if halved."""
        if not self.sft_half:
            return x * scale + shift
        kept = x.shape[1] - scale.shape[1]  # of an odd number the larger half
        if torch.is_grad_enabled() or torch.compiler.is_compiling():  # the latter also while a network is exported
            return torch.cat((x[:, :kept], torch.addcmul(shift, x[:, kept:], scale)), dim=1)
        acted = x[:, kept:]
        torch.addcmul(shift, acted, scale, out=acted)
        return x

    def _latent_of_layers(
        self, codes: Sequence[Tensor], inject_index: int | None, generator: torch.Generator | None
    ) -> Tensor:
        """One or two styles -> (N, num_latent, num_style_feat)."""
        if len(codes) == 1:
            return codes[0] if codes[0].ndim == 3 else codes[0][:, None].expand(-1, self.num_latent, -1)
        first, second = codes
        if inject_index is None:
            device = generator.device if generator else None
            inject_index = int(torch.randint(1, self.num_latent, (), generator=generator, device=device))
        repeats = (inject_index, self.num_latent - inject_index)
        return torch.cat([code[:, None].expand(-1, n, -1) for code, n in zip((first, second), repeats, strict=True)], 1)

    def _stored_noise(self) -> list[Tensor]:
        return [self.noises.get_buffer(f"noise{layer}") for layer in range(self.num_layers)]

    def _noise_shapes(self, batch: int) -> list[tuple[int, int, int, int]]:
        sizes = [2 ** ((layer + 5) // 2) for layer in range(self.num_layers)]
        return [(batch, 1, size, size) for size in sizes]

    def _randn(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        like = self.constant_input.weight
        device = generator.device if generator else like.device
        return torch.randn(shape, generator=generator, device=device).to(like)


def _saturate(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert, stopping at the largest finite number instead of at infinity."""
    if x.dtype == dtype:
        return x
    limits = torch.finfo(dtype)
    return x.clamp(limits.min, limits.max).to(dtype)
