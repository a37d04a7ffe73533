"""``revisage export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from revisage.cli.console import say
from revisage.cli.options import Architecture


def export(
    model: Annotated[str, typer.Argument(help="A model name or a weights file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx or .pt2 file to write.")],
    weights: Annotated[
        Literal["float32", "float16", "int8"] | None,
        typer.Option(help="Format of the stored weights [as in MODEL if exported, else float32]."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Format to compute in; float16 is for GPUs, .onnx only.")
    ] = "float32",
    architecture: Architecture = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Export a network to ONNX or torch.export."""
    from revisage.export.network import export_network
    from revisage.models.fetch import weight_file
    from revisage.models.registry import MODELS

    spec = MODELS.get(model)
    done = export_network(
        weight_file(model),
        output,
        weights=weights,
        dtype=dtype,
        architecture=architecture or (spec and spec.architecture),
        notes={"name": model, "license": spec.license.weights} if spec else None,
        overwrite=overwrite,
    )
    form = f"opset {done.opset}, weights in {done.weights}, computes in {done.dtype}" if done.opset else "torch.export"
    say(f"{model} -> {output}: {done.header.architecture}, {done.bytes / 1e6:.1f} MB, {form}")
    say(
        f"compared with torch in float32 on {done.shape[0]} images of {done.shape[2]} x {done.shape[3]}: largest"
        f" difference {done.difference:.1e} (outputs reach {done.range:.3g}), PSNR {done.psnr:.1f} dB"
    )
    if done.rounding is not None:
        say(f"largest difference from the weights before rounding: {done.rounding:.1e}")
