"""Constructor arguments of networks that look at faces, read from the shapes of their weights."""

from __future__ import annotations

from typing import Any

from revisage.models.arch.shapes import Shapes, count


def retinaface(shapes: Shapes) -> dict[str, Any]:
    """Arguments of RetinaFace."""
    return {"network_name": "mobile0.25" if "body.stage1.0.0.weight" in shapes else "resnet50"}


def parsenet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of ParseNet; the coarsest features are taken to have the published side, 32."""
    down, up = count(shapes, "encoder.") - 1, count(shapes, "decoder.")
    mask = shapes["out_mask_conv.conv2d.weight"]
    widths = [mask[1], *(shape[1] for key, shape in shapes.items() if key.endswith(".conv1.conv2d.weight"))]
    return {
        "in_size": 32 * 2**down,
        "out_size": 32 * 2**up,
        "base_ch": shapes["encoder.0.conv2d.weight"][0],
        "parsing_ch": mask[0],
        "res_depth": count(shapes, "body."),
        "norm_type": "bn" if any(".norm.norm." in key for key in shapes) else "none",
        "ch_range": [min(widths), max(widths)],
    }


def bisenet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of BiSeNet."""
    return {"num_class": shapes["conv_out.conv_out.weight"][0]}


def resnet_arcface(shapes: Shapes) -> dict[str, Any]:
    """Arguments of ResNetArcFace."""
    return {
        "block": "IRBlock",
        "layers": [count(shapes, f"layer{layer}.") for layer in (1, 2, 3, 4)],
        "use_se": "layer1.0.se.fc.0.weight" in shapes,
    }


def face_embedder(shapes: Shapes) -> dict[str, Any]:
    """Arguments of FaceEmbedder; each of its four levels begins with a convolution, a norm and an activation."""
    levels = range(4)
    return {
        "widths": [shapes[f"levels.{level}.0.weight"][0] for level in levels],
        "blocks": [count(shapes, f"levels.{level}.") - 3 for level in levels],
        "size": shapes["head.weight"][0],
    }
