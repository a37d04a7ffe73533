"""The output of a run: a progress bar, ``metrics.jsonl``, TensorBoard, and ``samples/`` to look at."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from revisage.errors import OutputError
from revisage.files import atomic_write
from revisage.training.task import ValidationResult

EVERY = 1000
"""Images between two lines of losses."""


class Log:
    """The log of one run. Losses are means since the last line.

    Args:
        tensorboard: also write events for TensorBoard into ``run/tensorboard``.
        quiet: print and write nothing, in all processes of a run but the first.
    """

    def __init__(self, run: Path, images: int, *, tensorboard: bool = False, quiet: bool = False) -> None:
        self._run = run
        self._total = images
        self._quiet = quiet
        self._console = Console(stderr=True, quiet=quiet)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=self._console, disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._line = self._bar.add_task("training", total=images)
        self._events = _event_writer(run) if tensorboard and not quiet else None
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0
        self._last = (0, time.monotonic())

    def __enter__(self) -> Log:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._events is not None:
            self._events.close()

    def write(self, name: str, text: str) -> None:
        """Write a text file into the run folder, atomically."""
        if not self._quiet:
            with atomic_write(self._run / name) as temporary:
                temporary.write_text(text)

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, images: int, terms: Mapping[str, torch.Tensor]) -> None:
        """Count a step."""
        if not self._steps and not self._sums:
            self._last = (images, time.monotonic())
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.detach().float()
        self._steps += 1
        self._bar.update(self._line, completed=images)
        if images // EVERY == self._last[0] // EVERY:
            return
        means = {name: round(float(value) / self._steps, 6) for name, value in self._sums.items()}
        now = time.monotonic()
        rate = round((images - self._last[0]) / max(now - self._last[1], 1e-9), 2)
        self._append({"images": images, "images_per_second": rate, "peak_gb": _peak_memory(), **means})
        self._plot("loss", images, means | {"images_per_second": rate})
        loss = sum(value for name, value in means.items() if not name.startswith("gradient/"))
        self._bar.update(self._line, description=f"{rate:.1f}/s  loss {loss:.4f}  {_peak_memory():.1f} GB")
        self._sums, self._steps, self._last = {}, 0, (images, now)

    def validation(self, images: int, result: ValidationResult, seconds: float) -> None:
        """Log the metrics of a validation, and write its samples."""
        metrics = {name: round(value, 5) for name, value in result.metrics.items()}
        self._append({"images": images, "validation": metrics, "seconds": round(seconds, 1)})
        self._plot("validation", images, metrics)
        shown = "  ".join(f"{name} {value:g}" for name, value in metrics.items())
        if shown:
            self._console.print(f"[{images}/{self._total}] {shown}", highlight=False)
        if result.image_grid is not None and not self._quiet:
            done, data = cv2.imencode(".jpg", result.image_grid[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            if done:
                with atomic_write(self._run / "samples" / f"{images:08d}.jpg") as temporary:
                    temporary.write_bytes(data.tobytes())

    def _plot(self, group: str, images: int, values: Mapping[str, float]) -> None:
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{group}/{name}", value, images)

    def _append(self, record: dict[str, Any]) -> None:
        if self._quiet:
            return
        try:
            with (self._run / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._run / 'metrics.jsonl'}: {error.strerror}") from error


def _peak_memory() -> float:
    """Most memory in GB that this process has held: on the GPU if it uses one."""
    if torch.cuda.is_initialized():
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


def _event_writer(run: Path) -> Any:
    from torch.utils.tensorboard.writer import SummaryWriter

    return SummaryWriter(str(run / "tensorboard"))
