"""Constructor arguments of StyleGAN2 and GFP-GAN networks, read from the shapes of their weights.

Widths follow from three numbers: int(512 * narrow) channels up to 32x32, int(2^14 / side * channel_multiplier * narrow)
from 64x64 on, and half of both in the U-Net.
"""

from __future__ import annotations

import math
from typing import Any

from revisage.models.arch.shapes import Shapes, count


def generator(shapes: Shapes, prefix: str = "") -> dict[str, Any]:
    """Arguments of a StyleGAN2 generator whose keys begin with ``prefix``."""
    narrow = shapes[f"{prefix}constant_input.weight"][1] / 512
    levels = count(shapes, f"{prefix}to_rgbs.")
    widths = {i: shapes[f"{prefix}to_rgbs.{i}.modulated_conv.weight"][2] for i in range(levels)}
    return {
        "out_size": 2 ** (levels + 2),
        "num_style_feat": shapes[f"{prefix}style_conv1.modulated_conv.modulation.weight"][1],
        "num_mlp": count(shapes, f"{prefix}style_mlp."),
        "channel_multiplier": _multiplier(widths, narrow),
        "narrow": narrow,
    }


def gfpgan(shapes: Shapes) -> dict[str, Any]:
    """Arguments of a GFP-GAN.

    Whether styles bypass the mapping network leaves no trace in the weights. In all published networks they do, and
    there is one for each layer; one style for all is taken to go through it.
    """
    arguments = generator(shapes, "stylegan_decoder.")
    features, width = shapes["condition_scale.0.2.weight"][:2]
    different_w = shapes["final_linear.weight"][0] != arguments["num_style_feat"]
    return arguments | {"input_is_latent": different_w, "different_w": different_w, "sft_half": features == width}


def discriminator(shapes: Shapes) -> dict[str, Any]:
    """Arguments of a StyleGAN2 discriminator."""
    narrow = shapes["final_conv.0.weight"][0] / 512
    levels = count(shapes, "conv_body.") - 1
    widths = {levels - block: shapes[f"conv_body.{block}.conv1.0.weight"][0] for block in range(1, levels + 1)}
    return {"out_size": 2 ** (levels + 2), "channel_multiplier": _multiplier(widths, narrow), "narrow": narrow}


def _multiplier(widths: dict[int, int], narrow: float) -> float:
    """The least ``channel_multiplier`` that gives the widths; 1 if none depends on it.

    Args:
        widths: level -> channels at 8 * 2^level.
        narrow: of the network.
    """
    units = {level: 2 ** (11 - level) * narrow for level in widths if level >= 3}
    if not units:
        return 1
    least = max(widths[level] / unit for level, unit in units.items())
    if any(int(unit * least) < widths[level] for level, unit in units.items()):
        least = math.nextafter(least, math.inf)  # the division was rounded down
    return int(least) if least == int(least) else least
