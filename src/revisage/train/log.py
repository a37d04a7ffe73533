"""What a run tells: a progress bar for people, ``metrics.jsonl`` for programs, ``sheets/`` to look at."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from revisage.errors import OutputError
from revisage.files.atomic import replacing
from revisage.train.task import Examination

EVERY = 1000
"""Images between two lines of losses."""


class Log:
    """The voice of one run. Losses are means since the last line."""

    def __init__(self, run: Path, images: int) -> None:
        self._run = run
        self._total = images
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._line = self._bar.add_task("training", total=images)
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0
        self._last = (0, time.monotonic())

    def __enter__(self) -> Log:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def write(self, name: str, text: str) -> None:
        """Write a text file into the run folder, atomically."""
        with replacing(self._run / name) as temporary:
            temporary.write_text(text)

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
        rate = (images - self._last[0]) / max(now - self._last[1], 1e-9)
        self._append({"images": images, "images_per_second": round(rate, 2), **means})
        self._bar.update(self._line, description=f"{rate:.1f}/s loss {sum(means.values()) - means['gradient']:.4f}")
        self._sums, self._steps, self._last = {}, 0, (images, now)

    def examination(self, images: int, found: Examination, seconds: float) -> None:
        """Note what a validation found, and keep its sheet."""
        metrics = {name: round(value, 5) for name, value in found.metrics.items()}
        self._append({"images": images, "validation": metrics, "seconds": round(seconds, 1)})
        shown = "  ".join(f"{name} {value:g}" for name, value in metrics.items())
        self._console.print(f"[{images}/{self._total}] {shown}", highlight=False)
        if found.sheet is not None:
            done, data = cv2.imencode(".jpg", found.sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            if done:
                with replacing(self._run / "sheets" / f"{images:08d}.jpg") as temporary:
                    temporary.write_bytes(data.tobytes())

    def _append(self, record: dict[str, Any]) -> None:
        try:
            with (self._run / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._run / 'metrics.jsonl'}: {error.strerror}") from error
