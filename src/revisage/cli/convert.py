"""``revisage convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revisage.cli.console import say
from revisage.cli.options import Architecture


def convert(
    source: Annotated[Path, typer.Argument(help="Weights file: .safetensors, .pth, .pt, .ckpt or .onnx.")],
    target: Annotated[Path, typer.Argument(help="File to write: .safetensors or .pth.")],
    averaged: Annotated[
        bool | None,
        typer.Option("--ema/--raw", help="Averaged (EMA) or raw weights [EMA if there are both]."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16.")] = False,
    to_clean: Annotated[bool, typer.Option("--to-clean", help="Convert GFPGANBilinear to GFPGANv1Clean.")] = False,
    architecture: Architecture = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Convert weights: .safetensors or .pth."""
    from revisage.models.convert import convert as convert_weights

    done = convert_weights(
        source,
        target,
        parameter_set=None if averaged is None else "params_ema" if averaged else "params",
        half=half,
        clean=to_clean,
        architecture=architecture,
        overwrite=overwrite,
    )
    say(f"{source} -> {target}: {done.architecture}, {done.values / 1e6:.1f} M values, {done.size / 1e6:.1f} MB")
