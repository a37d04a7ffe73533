"""``revisage export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from revisage.cli.console import say
from revisage.cli.options import Architecture


def export(
    model: Annotated[str, typer.Argument(help="A model name or a weights file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    weights: Annotated[
        Literal["float32", "float16", "int8"] | None,
        typer.Option(help="Format of the stored weights [as in MODEL if exported, else float32]."),
    ] = None,
    architecture: Architecture = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Export a network as ONNX, to run it without torch or in other programs."""
    from revisage.export import export_onnx
    from revisage.models.fetch import weight_file
    from revisage.models.registry import MODELS

    spec = MODELS.get(model)
    done = export_onnx(
        weight_file(model),
        output,
        weights=weights,
        architecture=architecture or (spec and spec.architecture),
        notes={"name": model, "license": spec.license.weights} if spec else None,
        overwrite=overwrite,
    )
    say(f"{model} -> {output}: {done.header.architecture}, {done.bytes / 1e6:.1f} MB, weights in {done.weights}")
    say(f"largest difference from torch: {done.difference:.1e} (outputs reach {done.range:.3g})")
    if done.rounding is not None:
        say(f"largest difference from the weights before rounding: {done.rounding:.1e}")
