"""Constructor arguments of networks that enlarge pictures, read from the shapes of their weights."""

from __future__ import annotations

import math
from typing import Any

from revisage.models.arch.shapes import Shapes, count, numbers


def rrdbnet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of RRDBNet; the result is taken to have as many channels as the picture."""
    num_feat, entering = shapes["conv_first.weight"][:2]
    channels = shapes["conv_last.weight"][0]
    return {
        "num_in_ch": channels,
        "num_out_ch": channels,
        "scale": 4 // math.isqrt(entering // channels),
        "num_feat": num_feat,
        "num_block": count(shapes, "body."),
        "num_grow_ch": shapes["body.0.rdb1.conv1.weight"][0],
    }


def srvggnet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of SRVGGNetCompact with PReLU; the other activations leave no trace in the weights."""
    num_feat, channels = shapes["body.0.weight"][:2]
    last = numbers(shapes, "body.")[-1]
    return {
        "num_in_ch": channels,
        "num_out_ch": channels,
        "num_feat": num_feat,
        "num_conv": last // 2 - 1,
        "upscale": math.isqrt(shapes[f"body.{last}.weight"][0] // channels),
        "act_type": "prelu",
    }
