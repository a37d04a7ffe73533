"""Requirements of a run, checked before its first step; errors of several steps are told in one message."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

from torch import nn

from revisage.errors import RecipeError, RevisageError, near_or_known
from revisage.training.config import TrainingConfig

Result = TypeVar("Result")

OPTIMIZER_STATES = 2
"""Numbers that AdamW keeps for each parameter."""


def check_settings(training: TrainingConfig, metrics: Mapping[str, str], processes: int) -> Iterator[str]:
    """Problems of ``training``."""
    if training.batch % (processes * training.accumulate):
        yield (
            f"training.batch: {training.batch} images do not divide into {processes} processes "
            f"x {training.accumulate} micro-batches"
        )
    if training.best and training.best.metric not in metrics:
        there = near_or_known(training.best.metric, metrics, most=2, cutoff=0.8, all_are="there are")
        yield f"training.best: no metric {training.best.metric!r}; {there}"
    if training.tensorboard and find_spec("tensorboard") is None:
        yield "training.tensorboard needs TensorBoard: pip install 'revisage[train]'"
    optimizers = training.optimizer, *training.optimizers.values()
    patterns = {("factors", key) for each in optimizers for key in each.factors}
    for setting, pattern in patterns | {("muon", each.muon) for each in optimizers if each.muon is not None}:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"training.optimizer.{setting}: {pattern!r} is no regular expression: {error}"


def check_networks(training: TrainingConfig, networks: Mapping[str, nn.Module], run: Path | None) -> Iterator[str]:
    """Problems of ``training.optimizers``, and whether the disk of the run's folder has room for its files."""
    for name in training.optimizers.keys() - networks.keys():
        yield f"training.optimizers: no network {name}; there are {', '.join(networks)}"
    if run is None:
        return
    sizes = [4 * sum(value.numel() for value in network.state_dict().values()) for network in networks.values()]
    moments = 4 * OPTIMIZER_STATES * sum(count(network, trained=True) for network in networks.values())
    averaged = sizes[0]
    state = sum(sizes) + averaged + moments
    needed = 2 * (state + averaged) + (averaged if training.best else 0)  # written beside the earlier ones
    folder = next(path for path in (run, *run.absolute().parents) if path.is_dir())
    there = sum(file.stat().st_size for file in run.glob("*.*") if file.is_file())
    free = shutil.disk_usage(folder).free + there
    if free < needed:
        yield f"the disk of {run} has {free / 1e9:.2f} GB free, the run needs {needed / 1e9:.2f} GB for its state"


def check_sizes(network: nn.Module | None, **sizes: int) -> Iterator[str]:
    """Problems of the image sizes in pixels given to a network, by their settings; none if there is no network.

    Patches are for training, validation and restoring are of whole faces.
    """
    multiple: int = getattr(network, "multiple", 1)
    for name, side in sizes.items():
        if side % multiple:
            yield f"task.{name}: the network needs a multiple of {multiple}, not {side}"
        if (own := getattr(network, "out_size", side)) != side:
            yield f"task.{name}: is {side}, the network restores images of {own} (task.network.out_size)"


def count(network: nn.Module, *, trained: bool = False) -> int:
    """Parameters of a network, all or those that are trained."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trained)


class Problems:
    """A block whose steps are all tried; at its end it raises a RecipeError with all that failed.

    The error of a single step is raised as it is.

    Args:
        missing: names of settings whose files are missing; steps that need them are left out.
    """

    def __init__(self, missing: Collection[str] = ()) -> None:
        self.missing = missing
        self._errors: list[RevisageError] = []

    def attempt(self, step: Callable[[], Result], *settings: str) -> Result:
        """The result of a step, or None, not to be used, if it fails or is left out.

        Args:
            step: may raise RevisageError.
            settings: whose files it reads; those of groups (``task.losses``) by the name of the group.
        """
        if not any(f"{name}.".startswith(f"{setting}.") for name in self.missing for setting in settings):
            try:
                return step()
            except RevisageError as error:
                self._errors.append(error)
        return cast(Result, None)

    def add(self, *problems: str) -> None:
        """Note what is wrong."""
        self._errors += map(RecipeError, problems)

    def __enter__(self) -> Problems:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and len(self._errors) == 1:
            raise self._errors[0]
        if error is None and self._errors:
            raise RecipeError("; ".join(dict.fromkeys(map(str, self._errors))))
