"""Encoder and decoder of RestoreFormer: levels of residual blocks with multi-head attention at the coarse ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.restoreformer_layers import Downsample, MultiHeadAttnBlock, Normalize, ResnetBlock, Upsample


@dataclass(frozen=True)
class Shape:
    """Layout of encoder and decoder.

    Attributes:
        ch: channels of the finest level.
        ch_mult: channels of each level relative to ``ch``, finest first; each level halves the resolution.
        num_res_blocks: residual blocks a level (the decoder has one more).
        attn_resolutions: levels with attention, by the size of their features.
        dropout: probability, in training.
        resolution: size of the image for which ``attn_resolutions`` are meant.
        z_channels: channels of the code.
        enable_mid: residual blocks and attention at the bottom.
        head_size: the number of heads of attention.
    """

    ch: int
    ch_mult: Sequence[int]
    num_res_blocks: int
    attn_resolutions: Sequence[int]
    dropout: float
    resolution: int
    z_channels: int
    enable_mid: bool
    head_size: int

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.ch * factor for factor in self.ch_mult]

    def heads(self, level: int) -> int:
        """Number of attention heads at a level, 0 where there is none."""
        return self.head_size if self.resolution // 2**level in self.attn_resolutions else 0


class _Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention if there are heads."""

    def __init__(self, in_channels: int, channels: int, count: int, heads: int, dropout: float) -> None:
        super().__init__()
        widths = [in_channels] + [channels] * (count - 1)
        self.block = nn.ModuleList(
            ResnetBlock(in_channels=width, out_channels=channels, dropout=dropout) for width in widths
        )
        self.attn = nn.ModuleList(MultiHeadAttnBlock(channels, heads) for _ in widths if heads)

    def refine(self, x: Tensor, queries: Tensor | None = None) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x, queries)
        return x


class _Down(_Level):
    def __init__(self, shape: Shape, level: int) -> None:
        widths = [shape.ch, *shape.widths]
        super().__init__(widths[level], widths[level + 1], shape.num_res_blocks, shape.heads(level), shape.dropout)
        self.downsample = Downsample(widths[level + 1]) if level + 1 < len(shape.widths) else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-> features of this level, input of the next."""
        features = self.refine(x)
        return features, self.downsample(features)


class _Up(_Level):
    def __init__(self, shape: Shape, level: int) -> None:
        widths = [*shape.widths, shape.widths[-1]]
        super().__init__(widths[level + 1], widths[level], shape.num_res_blocks + 1, shape.heads(level), shape.dropout)
        self.upsample = Upsample(widths[level]) if level else nn.Identity()

    def forward(self, x: Tensor, queries: Tensor | None) -> Tensor:
        return self.upsample(self.refine(x, queries))


class _Middle(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(in_channels=shape.widths[-1], dropout=shape.dropout)
        self.attn_1 = MultiHeadAttnBlock(shape.widths[-1], shape.head_size)
        self.block_2 = ResnetBlock(in_channels=shape.widths[-1], dropout=shape.dropout)


class MultiHeadEncoder(nn.Module):
    """Image to code.

    Args:
        double_z: give twice as many channels as ``shape.z_channels``.
    """

    def __init__(self, shape: Shape, in_channels: int = 3, double_z: bool = False) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, shape.ch, 3, padding=1)
        self.down = nn.ModuleList(_Down(shape, level) for level in range(len(shape.ch_mult)))
        self.mid = _Middle(shape) if shape.enable_mid else None
        self.norm_out = Normalize(shape.widths[-1])
        self.conv_out = nn.Conv2d(shape.widths[-1], (1 + double_z) * shape.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Encode (N, in_channels, H, W).

        Returns the code (N, z_channels, H / 2^levels, W / 2^levels) as "out", and the features on the way: "in",
        "block_0", "block_1", ..., and from the bottom "block_{last}_atten" and "mid_atten".
        """
        x = self.conv_in(x)
        features = {"in": x}
        for level, down in enumerate(self.down):
            features[f"block_{level}"], x = down(x)
        if self.mid:
            x = features[f"block_{len(self.down) - 1}_atten"] = self.mid.block_1(x)
            x = features["mid_atten"] = self.mid.block_2(self.mid.attn_1(x))
        features["out"] = self.conv_out(F.silu(self.norm_out(x)))
        return features


class MultiHeadDecoder(nn.Module):
    """Code to image."""

    def __init__(self, shape: Shape, out_ch: int = 3) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(shape.z_channels, shape.widths[-1], 3, padding=1)
        self.mid = _Middle(shape) if shape.enable_mid else None
        self.up = nn.ModuleList(_Up(shape, level) for level in range(len(shape.ch_mult)))
        self.norm_out = Normalize(shape.widths[0])
        self.conv_out = nn.Conv2d(shape.widths[0], out_ch, 3, padding=1)

    def forward(self, z: Tensor, hs: Mapping[str, Tensor] | None = None) -> Tensor:
        """Decode: (N, z_channels, h, w) -> (N, out_ch, H, W), about [-1, 1], not clamped.

        Attention takes its queries from ``hs``, the encoder's features; None: from the decoded features.
        """
        hs = hs or {}
        x = self.conv_in(z)
        if self.mid:
            x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x), hs.get("mid_atten")))
        for level in reversed(range(len(self.up))):
            x = self.up[level](x, hs.get(f"block_{level}_atten", hs.get(f"block_{level}")))
        return self.conv_out(F.silu(self.norm_out(x)))


class MultiHeadDecoderTransformer(MultiHeadDecoder):
    """``MultiHeadDecoder`` that requires the encoder's features."""

    def forward(self, z: Tensor, hs: Mapping[str, Tensor] | None = None) -> Tensor:
        if not hs:
            raise ValueError("this decoder's attention takes its queries from the encoder's features: give them as hs")
        return super().forward(z, hs)
