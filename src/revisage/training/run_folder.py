"""The folder of a run: the state to resume from, and the weights."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from revisage.errors import OutputError, TrainingError
from revisage.files import atomic_write
from revisage.models.checkpoint import save_weights
from revisage.models.device import is_out_of_memory
from revisage.training.identity import is_judged_alike
from revisage.training.log import Log
from revisage.training.recipe import Recipe
from revisage.training.state import STATE, State, check_state
from revisage.training.task import Task

WEIGHTS = "model.safetensors"
BEST = "best.safetensors"


class RunFolder:
    """Reads and writes the files of one run; of several processes, one writes."""

    def __init__(
        self, run: Path, recipe: Recipe, identity: dict[str, Any], task: Task, state: State, *, writes: bool
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._identity = identity
        self._task = task
        self._state = state
        self._writes = writes
        self._saved = 0

    @property
    def weights(self) -> Path:
        """The file of the averaged weights."""
        return self._run / WEIGHTS

    def load(self) -> list[str]:
        """Take up the state in the folder, if there is one; return the settings whose files have changed since."""
        if not (self._run / STATE).exists():
            return []
        saved = self._state.load(self._run / STATE)
        self._saved = self._state.images
        if not is_judged_alike(saved, self._identity, self._recipe.task.metrics_of_validation()):
            self._state.best = None  # a value of another metric, or of other images, would never be beaten, or at once
        return check_state(self._run / STATE, self._identity)

    def save(self) -> None:
        """Write the state and the averaged weights."""
        if self._writes:
            self._state.save(self._run / STATE, self._identity)
            self._save_average(WEIGHTS)
        self._saved = self._state.images

    def save_best(self) -> None:
        """Write the averaged weights as the best."""
        if self._writes:
            self._save_average(BEST)

    def is_best(self, value: float) -> bool:
        """Whether a validation is the best so far, by the recipe's metric; the state keeps its value if so."""
        best = self._recipe.training.best
        better = best and (best.better or self._recipe.task.metrics_of_validation()[best.metric])
        sign = 1 if better == "higher" else -1
        if value != value or (self._state.best is not None and sign * value <= sign * self._state.best):
            return False  # NaN is not equal to itself
        self._state.best = value
        return True

    @contextmanager
    def saved_on_exit(self, log: Log) -> Generator[None]:
        """A block that, whatever ends it, leaves the state of its last step behind.

        An error within a step leaves some networks updated and others not: resuming repeats that step. Then, and after
        a gradient that is not finite, the files of the last save stay beside the new ones, as ``earlier-...``.
        TrainingError: memory runs out, in this process or in one that prepares samples.
        """
        try:
            yield
        except BaseException as error:
            try:
                self._save_after(error, log)
            except (OutputError, RuntimeError, MemoryError) as failure:
                log.note(f"the state of {self._state.images} images is not saved: {failure}")
            if (reason := _shortage(error)) is None:
                raise
            raise TrainingError(f"{reason} after {self._state.images} images") from error

    def _save_after(self, error: BaseException, log: Log) -> None:
        state = self._state
        if not self._writes or not state.images or (state.images == self._saved and not state.updated):
            return
        state.undo_step()
        if state.updated or isinstance(error, TrainingError):
            for name in (STATE, WEIGHTS):
                if (self._run / name).exists():
                    with atomic_write(self._run / f"earlier-{name}") as temporary:
                        shutil.copyfile(self._run / name, temporary)
        self.save()
        where = f", in the middle of a step: {', '.join(state.updated)} updated" if state.updated else ""
        log.note(f"the state of {state.images} images is saved in {self._run}{where}; rerun the command to resume")

    def _save_average(self, name: str) -> None:
        notes = {"recipe": self._recipe.name, "images": self._state.images}
        dtype = getattr(torch, self._recipe.training.weights)
        save_weights(
            self._run / name, self._state.ema.network.state_dict(), replace(self._task.header(), notes=notes), dtype
        )


def _shortage(error: BaseException) -> str | None:
    """Advice where memory has run out; None for other errors."""
    if "DataLoader worker" in str(error) and "killed" in str(error):
        return "a process that prepares samples was killed, perhaps for its memory; lower training.workers"
    if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
        return "out of memory; raise training.accumulate and rerun: it ended"
    return None
