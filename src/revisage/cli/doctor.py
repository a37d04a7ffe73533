"""``revisage doctor``."""

from __future__ import annotations

import typer

from revisage.cli.console import complain
from revisage.cli.json_output import Json, print_json
from revisage.cli.options import Device, Dtype


def doctor(device: Device = "auto", dtype: Dtype = "auto", json: Json = False) -> None:
    """Show devices and installed packages. Says which device is used and why."""
    from revisage.doctor import examine

    facts, faults = examine(device, dtype)
    if json:
        print_json({"facts": dict(facts), "faults": faults})
        raise typer.Exit(1 if faults else 0)
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        print(f"{label:<{width}}  {value}")
    for fault in faults:
        complain(fault)
    raise typer.Exit(1 if faults else 0)
