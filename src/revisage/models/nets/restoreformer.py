"""RestoreFormer (Wang et al. 2022, arXiv 2201.06374) and RestoreFormer++ (Wang et al. 2023, arXiv 2308.07228).

A degraded face is encoded, each vector of its code replaced by the nearest in a dictionary of good faces, and the face
decoded from those, while attention takes its queries from the encoder. ``VQVAEGAN`` learns the dictionary.

Half precision: encoder and dictionary stay in float32 whatever the network is converted to, and under autocast. The
nearest entry is a hard choice: rounding flips it where two are about equally near, and a flipped code is another piece
of face, not a small error (in small random networks 0.2 % of the codes flip in float16, 1.4 % in bfloat16). Only the
decoder, the larger half of the work, runs in half precision; its error is about 0.2 % of the image's norm in float16
and 1.7 % in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor, nn

from revisage.models.nets.precision import accurately, without_autocast
from revisage.models.nets.restoreformer_codec import (
    MultiHeadDecoder,
    MultiHeadDecoderTransformer,
    MultiHeadEncoder,
    Shape,
)
from revisage.models.nets.restoreformer_layers import VectorQuantizer


class Encoding(NamedTuple):
    """An image between encoder and decoder.

    Attributes:
        quantized: (N, embed_dim, h, w) entries of the dictionary.
        indices: (N, h, w) of these entries.
        vectors: (N, embed_dim, h, w) replaced by them.
        features: the encoder's, see ``MultiHeadEncoder``.
    """

    quantized: Tensor
    indices: Tensor
    vectors: Tensor
    features: dict[str, Tensor]


class _DictionaryAutoencoder(nn.Module):
    """Encoder, dictionary and decoder, as the networks of this family share them."""

    def __init__(self, encoder: MultiHeadEncoder, decoder: MultiHeadDecoder, n_embed: int, embed_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.quantize = VectorQuantizer(n_embed, embed_dim)
        self.quant_conv = nn.Conv2d(encoder.conv_out.out_channels, embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(embed_dim, decoder.conv_in.in_channels, 1)
        self.multiple = 2 ** (len(encoder.down) - 1)
        self.register_load_state_dict_post_hook(_DictionaryAutoencoder._keep_accurate)

    def forward(self, x: Tensor, return_loss: bool = False) -> tuple[Tensor, Tensor | None]:
        """Images (N, 3, H, W) RGB in [-1, 1], best in float32 -> (images like them, not clamped; loss or None).

        The loss is the dictionary's. H and W are multiples of ``self.multiple`` (ValueError: they are not). Attention
        costs (H * W)².
        """
        code = self.encode(x)
        image = self.decode(code.quantized, code.features)
        return image, self.quantize.loss(code.vectors, code.indices) if return_loss else None

    def encode(self, x: Tensor) -> Encoding:
        """Images (N, 3, H, W) -> entries of the dictionary, in at least float32."""
        if x.ndim != 4 or x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise ValueError(f"expected (N, 3, H, W), H and W multiples of {self.multiple}, got {tuple(x.shape)}")
        with without_autocast(x):
            features = self.encoder(x.to(self.quant_conv.weight.dtype))
            vectors = self.quant_conv(features["out"])
            quantized, indices = self.quantize(vectors)
            return Encoding(quantized, indices, vectors, features)

    def decode(self, quantized: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Entries of the dictionary (N, embed_dim, h, w) and the encoder's features -> images (N, 3, H, W)."""
        return self.decoder(self.post_quant_conv(quantized.to(self.post_quant_conv.weight.dtype)), features)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _DictionaryAutoencoder:
        for part in (self.encoder, self.quantize, self.quant_conv):
            part._apply(accurately(fn), recurse)
        for part in (self.decoder, self.post_quant_conv):
            part._apply(fn, recurse)
        return self

    def _keep_accurate(self, incompatible_keys: object) -> None:  # noqa: ARG002
        """After loading: weights in half precision that were assigned, not copied, are promoted where they must be."""
        self._apply(lambda tensor: tensor)

    def _freeze(self, decoder: bool, codebook: bool, encoder: bool) -> None:
        frozen: list[nn.Module] = []
        if decoder:
            frozen += [self.decoder, self.post_quant_conv, self.quantize]
        if codebook:
            frozen += [self.quantize]
        if encoder:
            frozen += [self.encoder, self.quant_conv]
        for part in frozen:
            part.requires_grad_(False)


class RestoreFormer(_DictionaryAutoencoder):
    """RestoreFormer (``head_size`` 8) and RestoreFormer++ (``head_size`` 4, ``ex_multi_scale_num`` 1).

    Args, besides those of ``Shape``:
        n_embed: entries of the dictionary.
        embed_dim: length of an entry.
        out_ch: channels of the result.
        double_z: the encoder gives twice as many.
        fix_decoder: decoder and dictionary are not trained.
        fix_codebook: the dictionary is not trained.
        fix_encoder: the encoder is not trained.
        ex_multi_scale_num: how often the decoder's levels with attention are replaced by their first and a level
            twice as fine as their last.
    """

    def __init__(
        self,
        n_embed: int = 1024,
        embed_dim: int = 256,
        ch: int = 64,
        out_ch: int = 3,
        ch_mult: Sequence[int] = (1, 2, 2, 4, 4, 8),
        num_res_blocks: int = 2,
        attn_resolutions: Sequence[int] = (16,),
        dropout: float = 0,
        in_channels: int = 3,
        resolution: int = 512,
        z_channels: int = 256,
        double_z: bool = False,
        enable_mid: bool = True,
        fix_decoder: bool = False,
        fix_codebook: bool = True,
        fix_encoder: bool = False,
        head_size: int = 8,
        ex_multi_scale_num: int = 0,
    ) -> None:
        shape = Shape(
            ch, ch_mult, num_res_blocks, attn_resolutions, dropout, resolution, z_channels, enable_mid, head_size
        )
        finer = shape
        for _ in range(ex_multi_scale_num):
            first, last = finer.attn_resolutions[0], finer.attn_resolutions[-1]
            finer = replace(finer, attn_resolutions=(first, 2 * last))
        encoder = MultiHeadEncoder(shape, in_channels, double_z)
        super().__init__(encoder, MultiHeadDecoderTransformer(finer, out_ch), n_embed, embed_dim)
        self._freeze(fix_decoder, fix_codebook, fix_encoder)


class VQVAEGAN(_DictionaryAutoencoder):
    """The network that learns the dictionary from good faces; arguments and keys as for ``RestoreFormer``.

    Its decoder gets only the dictionary's entries. The weights initialise ``RestoreFormer``.
    """

    def __init__(
        self,
        n_embed: int = 1024,
        embed_dim: int = 256,
        ch: int = 64,
        out_ch: int = 3,
        ch_mult: Sequence[int] = (1, 2, 2, 4, 4, 8),
        num_res_blocks: int = 2,
        attn_resolutions: Sequence[int] = (16,),
        dropout: float = 0,
        in_channels: int = 3,
        resolution: int = 512,
        z_channels: int = 256,
        double_z: bool = False,
        enable_mid: bool = True,
        fix_decoder: bool = False,
        fix_codebook: bool = False,
        fix_encoder: bool = False,
        head_size: int = 8,
    ) -> None:
        shape = Shape(
            ch, ch_mult, num_res_blocks, attn_resolutions, dropout, resolution, z_channels, enable_mid, head_size
        )
        encoder = MultiHeadEncoder(shape, in_channels, double_z)
        super().__init__(encoder, MultiHeadDecoder(shape, out_ch), n_embed, embed_dim)
        self._freeze(fix_decoder, fix_codebook, fix_encoder)

    def decode(self, quantized: Tensor, features: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Entries of the dictionary (N, embed_dim, h, w) -> images (N, 3, H, W); the features are not used."""
        return super().decode(quantized, {})
