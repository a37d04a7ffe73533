"""``revisage bench``."""

from __future__ import annotations

import json as jsonlib
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from revisage.cli.console import complain, progress_bar, say, warn
from revisage.errors import InputError

RETRIES = 2
"""Times that a quick run is repeated before a loss counts: on a busy machine a ratio may be off by chance."""


def bench(
    json: Annotated[bool, typer.Option("--json", help="Print JSON: machine, ratios, every single time.")] = False,
    compare: Annotated[
        Path | None, typer.Option(help="JSON of an earlier run; fail on a loss of more than --bound.")
    ] = None,
    bound: Annotated[float, typer.Option(min=0, help="Loss that counts as a regression.")] = 0.25,
    quick: Annotated[bool, typer.Option("--quick", help="Small networks, in less than a minute.")] = False,
    model: Annotated[list[Path] | None, typer.Option(help="Also time this restorer's file; may be repeated.")] = None,
) -> None:
    """Time every stage and network on this CPU. The plain formulation is timed beside them.

    Takes up to five minutes and a gigabyte of disk. Run it while nothing else runs; the output says if something did.
    """
    earlier = _read(compare) if compare else None
    report = _run(quick, model or [])
    lines, regressions = _against(report, earlier, bound)
    for _ in range(RETRIES if quick else 0):
        if not regressions:
            break
        warn(f"measured again: {'; '.join(regressions)}")
        again = _run(quick, [])
        report["ratios"] = {
            name: max(value, again["ratios"].get(name, 0.0)) for name, value in report["ratios"].items()
        }
        lines, regressions = _against(report, earlier, bound)
    if json:
        print(jsonlib.dumps(report))
    else:
        _show(report)
        for line in lines:
            say(line)
    for line in regressions:
        complain(f"slower than before: {line}")
    raise typer.Exit(1 if regressions else 0)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = jsonlib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no JSON of `revisage bench --json`: {error}") from error
    if not isinstance(found, dict) or "ratios" not in found:
        raise InputError(f"{path} is no JSON of `revisage bench --json`: it has no ratios")
    return found  # pyright: ignore[reportUnknownVariableType]


def _run(quick: bool, models: list[Path]) -> dict[str, Any]:
    from tempfile import TemporaryDirectory

    from revisage.bench.measure import measure
    from revisage.bench.plan import make_plan
    from revisage.bench.report import make_report

    start = time.monotonic()
    with TemporaryDirectory(prefix="revisage-bench-") as folder, progress_bar() as bar:
        task = bar.add_task("writing random weights", total=100)
        plan = make_plan(Path(folder), quick, models)
        seconds = (25.0 if quick else 270.0) - (0 if quick else time.monotonic() - start)

        def move(text: str, done: float) -> None:
            bar.update(task, description=text, completed=100 * done)

        measured = measure(plan.groups, seconds, move)
    return make_report(plan, measured, time.monotonic() - start)


def _against(report: dict[str, Any], earlier: dict[str, Any] | None, bound: float) -> tuple[list[str], list[str]]:
    from revisage.bench.report import compare

    return compare(report, earlier, bound) if earlier else ([], [])


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console

    from revisage.bench.report import describe_busy, make_tables

    console = Console(markup=False)
    if not console.is_terminal:
        console.width = 120
    for name, value in report["machine"].items():
        say(f"{name:<24}{' '.join(value) if isinstance(value, list) else value}")
    for table in make_tables(report):
        console.print(table)
    for reason in report["left_out"]:
        say(f"left out: {reason}")
    if busy := describe_busy(report):
        warn(busy)
