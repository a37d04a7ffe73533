"""Constructor arguments of RestoreFormer and of the small restoration U-Nets, read from the shapes of their weights."""

from __future__ import annotations

import math
from typing import Any

from revisage.models.arch.shapes import Shapes, count

SIDE = 512
"""Side of the faces of all published networks; these networks are convolutional, so their weights do not say it."""


def dictionary_autoencoder(shapes: Shapes) -> dict[str, Any]:
    """Arguments of RestoreFormer, RestoreFormer++ and the network that learns their dictionary.

    The number of heads leaves no trace in the weights: it is that of the published networks, 8, or 4 where the
    decoder attends to more levels than the encoder (RestoreFormer++).
    """
    ch, in_channels = shapes["encoder.conv_in.weight"][:2]
    levels = range(count(shapes, "encoder.down."))
    n_embed, embed_dim = shapes["quantize.embedding.weight"]
    extra = _extra_levels(shapes)
    z_channels = shapes["post_quant_conv.weight"][0]
    arguments = {
        "n_embed": n_embed,
        "embed_dim": embed_dim,
        "ch": ch,
        "out_ch": shapes["decoder.conv_out.weight"][0],
        "ch_mult": [shapes[f"encoder.down.{level}.block.0.conv1.weight"][0] // ch for level in levels],
        "num_res_blocks": count(shapes, "encoder.down.0.block."),
        "attn_resolutions": [SIDE // 2**level for level in reversed(_attentive(shapes, "encoder.down."))],
        "in_channels": in_channels,
        "resolution": SIDE,
        "z_channels": z_channels,
        "double_z": shapes["encoder.conv_out.weight"][0] == 2 * z_channels,
        "enable_mid": "encoder.mid.block_1.norm1.weight" in shapes,
        "head_size": 4 if extra else 8,
    }
    return arguments | ({"ex_multi_scale_num": extra} if extra else {})


def _attentive(shapes: Shapes, prefix: str) -> list[int]:
    """Levels with attention, finest first."""
    return [level for level in range(count(shapes, prefix)) if f"{prefix}{level}.attn.0.q.weight" in shapes]


def _extra_levels(shapes: Shapes) -> int:
    """How many levels finer than the encoder's attention the decoder's goes."""
    encoder, decoder = _attentive(shapes, "encoder.down."), _attentive(shapes, "decoder.up.")
    return encoder[0] - decoder[0] if encoder and decoder else 0


def restoration_unet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of RestorationUNet."""
    stem, channels = shapes["stem.weight"][:2]
    subpixels = shapes["tail.weight"][0] // 3
    levels = range(count(shapes, "down."))
    return {
        "widths": [stem, *(shapes[f"down.{level}.weight"][0] for level in levels)],
        "blocks": [count(shapes, f"encoder.{level}.") for level in range(len(levels) + 1)],
        "unshuffle": math.isqrt(subpixels),
        "inputs": channels // (3 * subpixels),
    }


def coarse_to_fine(shapes: Shapes) -> dict[str, Any]:
    """Arguments of CoarseToFineUNet. The factor leaves no trace in the weights: it is that of the embedded network."""
    coarse, fine = (
        {key.removeprefix(part): shape for key, shape in shapes.items() if key.startswith(part)}
        for part in ("coarse.", "fine.")
    )
    fine = restoration_unet(fine)
    fine.pop("inputs")
    return {"coarse": restoration_unet(coarse), "fine": fine}
