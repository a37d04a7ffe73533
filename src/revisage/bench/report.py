"""Results of a run: JSON, tables, and the comparison with an earlier run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisage.bench.measure import Measured, Row
from revisage.bench.plan import Plan, Ratio
from revisage.models.device import cpu_instructions

if TYPE_CHECKING:
    from rich.table import Table

BOUND = 0.25
"""Loss of a ratio, or growth of a time on the same machine, that counts as a regression."""
BUSY = 0.1
"""Share of the processors taken by other programs from which on a machine is called busy."""
PACKAGES = ("revisage", "numpy", "opencv-python-headless", "onnxruntime", "torch")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
"""Instruction sets that matter for networks, by their names in /proc/cpuinfo."""


def make_report(plan: Plan, measured: Measured, seconds: float) -> dict[str, Any]:
    """Everything as plain values for JSON: ``machine``, ``rows``, ``ratios``, ``left_out``, ``busy``, ``seconds``."""
    ratios = {ratio.name: value for ratio in plan.ratios if (value := _ratio(ratio, measured.rows)) is not None}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_facts(),
        "busy": measured.busy,
        "seconds": round(seconds, 1),
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "rows": [{**asdict(row), "median": row.median()} for row in measured.rows],
        "left_out": [*plan.left_out, *measured.left_out],
    }


def _ratio(ratio: Ratio, rows: Sequence[Row]) -> float | None:
    """Median over the rounds, each of which timed both: what slows the machine down for a while meets both."""
    found = {row.name: row for row in rows if row.group == ratio.group}
    if ratio.slow not in found or ratio.fast not in found:
        return None
    slow, fast = (_of_steps(found[name], ratio.steps) for name in (ratio.slow, ratio.fast))
    return statistics.median(a / b for a, b in zip(slow, fast, strict=False))


def _of_steps(row: Row, steps: tuple[str, ...]) -> list[float]:
    if not steps:
        return row.seconds()
    return [sum(sample.get(step, 0) for step in steps) for sample in row.samples]


def machine_facts() -> dict[str, Any]:
    """Processor, cores, memory, system and versions."""
    facts: dict[str, Any] = {"system": platform.platform(), "python": platform.python_version()}
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = cpu_instructions()
    facts["processor"] = values.get("model name") or platform.processor() or platform.machine()
    facts["instructions"] = [name for name in INSTRUCTIONS if name in flags]
    facts["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if hasattr(os, "getloadavg"):
        facts["load_average"] = round(os.getloadavg()[0], 2)
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = None
    return facts


def describe_busy(report: Mapping[str, Any]) -> str:
    """A warning if other programs took much of the machine while it was measured, else ""."""
    share = report["busy"]
    if share is None or share < BUSY:
        return ""
    return (
        f"the machine was busy: other programs took {share:.0%} of its processors; "
        "times are too long, ratios less certain"
    )


def make_tables(report: Mapping[str, Any]) -> list[Table]:
    """A table for each group, and one of the ratios."""
    from rich.table import Table

    tables: list[Table] = []
    for title in dict.fromkeys(row["group"] for row in report["rows"]):
        rows = [_row(row) for row in report["rows"] if row["group"] == title]
        tables.append(_steps_table(title, rows) if len(rows[0].first) > 1 else _times_table(title, rows))
    ratios = Table("", "times as fast", title="Ratios, in turns", title_justify="left")
    for name, value in report["ratios"].items():
        ratios.add_row(name, f"{value:.2f}")
    return [*tables, ratios] if report["ratios"] else tables


def _row(values: Mapping[str, Any]) -> Row:
    return Row(**{name: value for name, value in values.items() if name != "median"})


def _times_table(title: str, rows: Sequence[Row]) -> Table:
    from rich.table import Table

    columns = "median", "from", "to", "calls", "first call", "memory", "PSNR"
    table = Table("", *columns, title=title, title_justify="left")
    for row in rows:
        seconds = row.seconds()
        times = [show(value) for value in (row.median(), min(seconds), max(seconds))]
        first = show(sum(row.first.values()) / row.per)
        psnr = "" if row.psnr is None else f"{row.psnr:.1f} dB"
        table.add_row(row.name, *times, str(len(seconds)), first, f"{row.peak_mb:.0f} MB", psnr)
    return table


def _steps_table(title: str, rows: Sequence[Row]) -> Table:
    from rich.table import Table

    steps = list(dict.fromkeys(step for row in rows for step in row.first))
    table = Table("", *steps, "all", "not network", "calls", "memory", title=title, title_justify="left")
    for row in rows:
        times = [show(row.median(step)) if step in row.first else "" for step in steps]
        network, total = row.median("network"), row.median()
        share = f"{1 - network / total:.1%}"
        table.add_row(row.name, *times, show(total), share, str(len(row.samples)), f"{row.peak_mb:.0f} MB")
    return table


def show(seconds: float) -> str:
    """A time for people."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"


def compare(report: Mapping[str, Any], earlier: Mapping[str, Any], bound: float = BOUND) -> tuple[list[str], list[str]]:
    """Compare with an earlier report, or its ``ratios`` alone: lines that tell each change; those that are regressions.

    A ratio that loses more than ``bound`` is one. Times count only on the same processor, where neither run was
    disturbed.
    """
    lines: list[str] = []
    regressions: list[str] = []
    for name, before in earlier.get("ratios", {}).items():
        now = report["ratios"].get(name)
        if now is None:
            lines.append(f"{name}: not measured now, {before:.2f} times before")
            regressions.append(lines[-1])
            continue
        lines.append(f"{name}: {now:.2f} times as fast, {before:.2f} before ({now / before - 1:+.0%})")
        if now < before * (1 - bound):
            regressions.append(lines[-1])
    alike = all(
        earlier.get("machine", {}).get(fact) == report["machine"].get(fact) for fact in ("processor", "cores")
    ) and not any((one.get("busy") or 0) >= BUSY for one in (earlier, report))
    known = {(row["group"], row["name"]): row["median"] for row in earlier.get("rows", [])}
    for row in report["rows"]:
        before = known.get((row["group"], row["name"]))
        if before is None:
            continue
        change = f"{show(row['median'])}, {show(before)} before ({before / row['median']:.2f} times as fast)"
        line = f"{row['group']}, {row['name']}: {change}"
        lines.append(line)
        if alike and row["median"] > before * (1 + bound):
            regressions.append(line)
    return lines, regressions
