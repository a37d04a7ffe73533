"""``revisage status``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from revisage.cli.console import counted


def status(
    output: Annotated[Path, typer.Argument(help="Folder of the results of `revisage restore FOLDER`.")],
    json: Annotated[bool, typer.Option("--json", help="All that the journal holds, a JSON object a photo.")] = False,
) -> None:
    """Say what became of the photos of a folder: how many are done, and why others failed. Also during the run."""
    from dataclasses import asdict
    from json import dumps

    from revisage.batch import Status, entries

    photos: Counter[str] = Counter()
    for entry in entries(output):
        photos[entry.status] += 1
        if json:
            print(dumps(asdict(entry)))
        elif entry.status == Status.FAILED:
            print(entry.reason)
    if not json:
        parts = [f"{photos[what]} {what}" for what in Status if photos[what]]
        print(f"{counted(photos.total(), 'photo')}{': ' if parts else ''}{', '.join(parts)}")
