"""The output of commands with ``--json``: one object a line, to be read while a long run goes on."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def print_json(value: dict[str, Any]) -> None:
    """Print an object on a line of its own. Names of files that are no valid text are escaped."""
    print(json.dumps(value, default=str), flush=True)
