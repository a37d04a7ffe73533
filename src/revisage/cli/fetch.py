"""``revisage fetch``."""

from __future__ import annotations

from typing import Annotated

import typer

from revisage.cli.options import Offline


def fetch(
    names: Annotated[list[str], typer.Argument(help="Names from `revisage models`.")],
    offline: Offline = False,
) -> None:
    """Download model weights. They then work offline. Prints the path of each file."""
    from revisage.models.fetch import fetch as fetch_weights

    for name in names:
        print(f"{name}: {fetch_weights(name, offline=offline or None)}")
