"""Plots of evaluations and of training runs, by matplotlib without pyplot: no window, no global state."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from revisage.errors import InputError, OutputError
from revisage.evaluation.metrics import SPECS, Metrics
from revisage.files import atomic_write

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
except ImportError as error:
    raise InputError("plots need matplotlib: pip install 'revisage[plots]'") from error

Record: TypeAlias = Mapping[str, Any]
"""A line of metrics.jsonl."""
Curve: TypeAlias = tuple[list[int], list[float]]
"""Images seen and values."""
COLORS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
"""Okabe and Ito: told apart by color-blind people, too."""
GRAY, DARK = "#8a8f98", "#22262c"
COLUMNS = 3
PANEL = 4.6, 3.2
"""Width and height of a panel in inches."""
SPEED = {"images_per_second": ("speed", "images a second"), "peak_gb": ("peak memory", "GB")}
"""Keys of records that are no losses -> title and unit."""
MEANINGS = {spec.name: spec.meaning for spec in SPECS}
BETTER = {spec.name: spec.better for spec in SPECS}


def draw_distributions(rows: Mapping[str, Mapping[str, Metrics]], title: str) -> Figure:
    """Draw how the metrics of a set are spread: a panel for each, with a box and all images as dots.

    ``rows``: version ("input", "restored") -> name of the image -> metrics.
    """
    names = list(dict.fromkeys(name for images in rows.values() for row in images.values() for name in row))
    counts = max(len(images) for images in rows.values())
    figure, panels = _figure(f"{title}: {counts} image{'s' * (counts != 1)}", len(names))
    for axes, name in zip(panels, names, strict=False):
        values = {version: _finite(row.get(name) for row in images.values()) for version, images in rows.items()}
        _draw_boxes(axes, values)
        axes.set_title(f"{name} ({BETTER[name]} is better)", color=DARK)
        axes.set_xlabel(MEANINGS[name])
    return figure


def draw_curves(records: Sequence[Record], title: str) -> Figure:
    """Draw a training run over the images seen: validation metrics, losses, speed and memory, a panel for each.

    Where a resumed run repeats images in ``metrics.jsonl``, the later record counts (InputError: there is none).
    """
    panels = {**_validation_curves(records), **_loss_curves(records)}
    if not panels:
        raise InputError(f"{title} has no metrics yet: losses are written every 1,000 images")
    figure, drawn = _figure(title, len(panels))
    for axes, (name, curves) in zip(drawn, panels.items(), strict=False):
        _draw_lines(axes, curves)
        better = f" ({BETTER[name]} is better)" if name in BETTER else ""
        shown, unit = SPEED.get(name, (name + better, MEANINGS.get(name, "loss")))
        axes.set_title(shown, color=DARK)
        axes.set_ylabel("norm" if name.startswith("gradient/") else unit, fontsize=9)
        axes.set_xlabel("images seen")
        axes.xaxis.set_major_formatter(FuncFormatter(_count))
    return figure


def read_records(run: Path) -> list[Record]:
    """Read the metrics of a run (InputError: it has none, or a line is damaged; an unfinished last one is left out)."""
    path = run / "metrics.jsonl" if run.is_dir() else run
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no metrics at {path}; give the folder of a training run") from error
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            records.append({"images": int(record["images"]), **record})
        except (ValueError, KeyError, TypeError) as error:
            if number < len(lines):
                raise InputError(f"{path}, line {number} is not a record of a training run") from error
    return records


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure whole or not at all, in the format of the extension: png, svg, pdf, jpg, webp.

    OutputError: another extension, or the file cannot be written.
    """
    check_plot_name(path)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)


def check_plot_name(path: Path) -> None:
    """Check that a plot can be written under this name (OutputError: it cannot)."""
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.lower()[1:] not in known:
        raise OutputError(f"cannot write {path}: plots are {', '.join(sorted(known))}")


def _figure(title: str, count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * lines + 0.6), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=14, color=DARK)
    panels: list[Axes] = []
    for index in range(count):
        axes = figure.add_subplot(lines, columns, index + 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9, colors=DARK)
        panels.append(axes)
    return figure, panels


def _draw_boxes(axes: Axes, values: Mapping[str, list[float]]) -> None:
    """A horizontal box for each version with its median in words, and a dot for each image."""
    rng = np.random.default_rng(0)  # only spreads the dots
    for row, (version, found) in enumerate(values.items()):
        color = COLORS[0] if version == "restored" else GRAY
        if not found:
            axes.text(0.5, row, "no finite value", ha="center", va="center", transform=axes.get_yaxis_transform())
            continue
        axes.scatter(found, row + rng.uniform(-0.16, 0.16, len(found)), s=12, color=color, alpha=0.5, linewidths=0)
        axes.boxplot(
            [found],
            positions=[row],
            orientation="horizontal",
            widths=0.5,
            showfliers=False,
            medianprops={"color": color, "linewidth": 2},
            boxprops={"color": color},
            whiskerprops={"color": color},
            capprops={"color": color},
        )
        median = float(np.median(found))
        axes.text(median, row + 0.3, f"{median:.4g}", ha="center", va="bottom", fontsize=9, color=DARK)
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.invert_yaxis()


def _draw_lines(axes: Axes, curves: Mapping[str, Curve]) -> None:
    """Solid lines for results, dashed ones of the same color for the degraded inputs."""
    bases = list(dict.fromkeys(label.removesuffix(" input") for label in curves))
    for label, (images, values) in curves.items():
        base = label.removesuffix(" input")
        style = ("--", 1.2) if base != label else ("-", 1.8)
        mark = "o" if len(images) < 12 and base == label else None
        color = COLORS[bases.index(base) % len(COLORS)]
        axes.plot(images, values, style[0], linewidth=style[1], color=color, label=label, marker=mark, markersize=3.5)
    if len(curves) > 1:
        axes.legend(fontsize=8, edgecolor="none", framealpha=0.85)


def _validation_curves(records: Sequence[Record]) -> dict[str, dict[str, Curve]]:
    """Metric -> set, or "SET input" -> curve."""
    panels: dict[str, dict[str, dict[int, float]]] = {}
    for record in records:
        for key, value in record.get("validation", {}).items():
            name, _, metric = key.rpartition("/")
            label = f"{name or 'validation'}{' input' * metric.startswith('input_')}"
            panels.setdefault(metric.removeprefix("input_"), {}).setdefault(label, {})[record["images"]] = value
    return {metric: {label: _curve(points) for label, points in lines.items()} for metric, lines in panels.items()}


def _loss_curves(records: Sequence[Record]) -> dict[str, dict[str, Curve]]:
    """Loss, speed or memory -> one curve."""
    panels: dict[str, dict[int, float]] = {}
    for record in records:
        for key, value in record.items() if "validation" not in record else ():
            if key != "images" and isinstance(value, int | float):
                panels.setdefault(key, {})[record["images"]] = value
    speed = {name: panels.pop(name) for name in SPEED if name in panels}
    return {name: {name: _curve(points)} for name, points in {**panels, **speed}.items()}


def _curve(points: Mapping[int, float]) -> Curve:
    """Points in the order of images; what is not finite becomes a gap."""
    images = sorted(points)
    return images, [value if math.isfinite(value := float(points[at])) else math.nan for at in images]


def _finite(values: Iterator[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _count(value: float, _: object) -> str:
    """12,000 as 12k, 3,000,000 as 3M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
