"""Layers of RestoreFormer: residual blocks, resizing, attention and the codebook."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def Normalize(in_channels: int) -> nn.GroupNorm:
    """Group normalisation; ``in_channels`` is a multiple of 32."""
    return nn.GroupNorm(32, in_channels, eps=1e-6)


class Upsample(nn.Module):
    """Doubles the size by repeating pixels, then (``with_conv``) a 3x3 convolution."""

    def __init__(self, in_channels: int, with_conv: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 3, padding=1) if with_conv else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Downsample(nn.Module):
    """Halves the size by a 3x3 convolution, or (not ``with_conv``) by the mean of 2x2."""

    def __init__(self, in_channels: int, with_conv: bool = True) -> None:
        super().__init__()
        self.with_conv = with_conv
        self.conv = nn.Conv2d(in_channels, in_channels, 3, stride=2) if with_conv else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/2, W/2)."""
        # Padding on one side only: windows start at even pixels.
        return self.conv(F.pad(x, (0, 1, 0, 1))) if self.with_conv else F.avg_pool2d(x, 2)


class ResnetBlock(nn.Module):
    """x + conv(dropout(act(norm(conv(act(norm(x))))))), with SiLU for the activation.

    Args:
        out_channels: channels of the output; None: those of the input.
        conv_shortcut: where the two differ, the shortcut is a 3x3 convolution instead of a 1x1.
    """

    def __init__(
        self, *, in_channels: int, out_channels: int | None = None, conv_shortcut: bool = False, dropout: float = 0
    ) -> None:
        super().__init__()
        out_channels = out_channels or in_channels
        self.norm1 = Normalize(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = Normalize(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut_name = ""
        if in_channels != out_channels:
            self.shortcut_name, size = ("conv_shortcut", 3) if conv_shortcut else ("nin_shortcut", 1)
            self.add_module(self.shortcut_name, nn.Conv2d(in_channels, out_channels, size, padding=size // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H, W)."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(self.dropout(F.silu(self.norm2(y))))
        return y + (self.get_submodule(self.shortcut_name)(x) if self.shortcut_name else x)


class MultiHeadAttnBlock(nn.Module):
    """Attention over all positions; the queries may come from another image's features.

    Args:
        head_size: the number of heads (so the published name), a divisor of ``in_channels``.
    """

    def __init__(self, in_channels: int, head_size: int = 1) -> None:
        super().__init__()
        if in_channels % head_size:
            raise ValueError(f"{in_channels} channels cannot be divided among {head_size} heads")
        self.head_size = head_size
        self.norm1 = Normalize(in_channels)
        self.norm2 = Normalize(in_channels)
        self.q = nn.Conv2d(in_channels, in_channels, 1)
        self.k = nn.Conv2d(in_channels, in_channels, 1)
        self.v = nn.Conv2d(in_channels, in_channels, 1)
        self.proj_out = nn.Conv2d(in_channels, in_channels, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Attend, and add the result to x, (N, C, H, W), which gives keys and values.

        ``y``, (N, C, H, W) of any float dtype, gives the queries; None: x does.
        """
        h = self.norm1(x)
        queries = h if y is None else self.norm2(y.to(x.dtype))
        found = F.scaled_dot_product_attention(
            self._heads(self.q(queries)), self._heads(self.k(h)), self._heads(self.v(h))
        )
        return x + self.proj_out(found.transpose(2, 3).reshape(x.shape))

    def _heads(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, heads, H * W, C / heads)."""
        return x.flatten(2).unflatten(1, (self.head_size, -1)).transpose(2, 3)


class VectorQuantizer(nn.Module):
    """Replaces each vector by its nearest in a codebook (van den Oord et al. 2017, arXiv 1711.00937).

    Args:
        n_e: entries of the codebook.
        e_dim: length of an entry.
        beta: weight of the loss that draws the codebook to the vectors, relative to the one that draws the vectors to
            the codebook. The paper weighs the other one; RestoreFormer was published with this.
    """

    def __init__(self, n_e: int, e_dim: int, beta: float = 0.25) -> None:
        super().__init__()
        self.n_e = n_e
        self.e_dim = e_dim
        self.beta = beta
        self.embedding = nn.Embedding(n_e, e_dim)
        nn.init.uniform_(self.embedding.weight, -1 / n_e, 1 / n_e)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (N, e_dim, H, W) -> entries of the same shape, and their indices (N, H, W).

        Gradients pass straight through to the vectors.
        """
        indices = self.nearest(z)
        return z + (self.get_codebook_entry(indices) - z).detach(), indices

    def nearest(self, z: Tensor) -> Tensor:
        """(N, e_dim, H, W) -> indices of the nearest entries (N, H, W)."""
        codebook = self.embedding.weight
        vectors = z.permute(0, 2, 3, 1).flatten(0, 2)
        # |z - e|² less |z|², which is the same for all entries.
        distances = torch.addmm(codebook.square().sum(dim=1), vectors, codebook.t(), alpha=-2)
        return distances.argmin(dim=1).view(z.shape[0], *z.shape[2:])

    def get_codebook_entry(self, indices: Tensor) -> Tensor:
        """(N, H, W) -> (N, e_dim, H, W)."""
        return self.embedding(indices).permute(0, 3, 1, 2)

    def loss(self, z: Tensor, indices: Tensor) -> Tensor:
        """Distance of vectors and entries, a scalar; draws each towards the other."""
        entries = self.get_codebook_entry(indices)
        return F.mse_loss(entries.detach(), z) + self.beta * F.mse_loss(entries, z.detach())

    def perplexity(self, indices: Tensor) -> Tensor:
        """Number of entries in use, the exponential of their entropy: a scalar from 1 to ``n_e``."""
        share = torch.bincount(indices.flatten(), minlength=self.n_e).to(self.embedding.weight) / indices.numel()
        return torch.exp(-(share * torch.log(share + 1e-10)).sum())
