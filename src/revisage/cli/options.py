"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, xpu or mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]

Architecture = Annotated[
    str | None,
    typer.Option(help="GFPGANBilinear for weights that would be taken for GFPGANv1: keys are the same."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download; REVISAGE_OFFLINE=1 says the same.")]
