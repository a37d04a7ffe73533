"""Takes turns between subjects, each in a process of its own, until the time is used up."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from revisage.bench.subjects import Answer, Request, Subject, serve

MAX_ROUNDS = 9
"""Timed calls of a case at most, without the first, which warms up."""
LOAD = "Load in a new process, libraries included"
"""Title of the table of what loading takes; each is done once."""


@dataclass(frozen=True)
class Command:
    """A command line of this Python, started anew for each call; in place of a subject's request.

    Attributes:
        arguments: of Python.
        processor: as for a request.
    """

    arguments: tuple[str, ...]
    processor: bool = False


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes:
        subject: what is timed; None for a command.
        cost: expected time relative to the first case of its group; cases for which there is no time are left out, but
            not those of cost 0.
        per: the times are divided by this many faces.
    """

    name: str
    subject: Subject | None
    request: Request | Command
    cost: float = 1.0
    per: int = 1


@dataclass(frozen=True)
class Group:
    """Cases that are timed in turns, so that whatever slows the machine down meets all of them.

    Attributes:
        weight: share of the time.
        least: turns that are taken even if there is no time for them.
    """

    title: str
    cases: tuple[Case, ...]
    weight: float
    least: int = 0


@dataclass
class Row:
    """Times of a case.

    Attributes:
        per: the times are divided by this many faces.
        first: steps of the first call, which warms up -> seconds.
        samples: the same for each later call; the first alone if there was no time for others.
        peak_mb: memory of the process after the last.
        psnr: in dB, against the output of the first case of its group; None: not compared.
    """

    group: str
    name: str
    per: int
    first: dict[str, float]
    samples: list[dict[str, float]]
    peak_mb: float = 0.0
    psnr: float | None = None

    def seconds(self, step: str | None = None) -> list[float]:
        """Of each call, a face: of one step, or of all together."""
        return [(sum(sample.values()) if step is None else sample[step]) / self.per for sample in self.samples]

    def median(self, step: str | None = None) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds(step))


@dataclass
class Measured:
    """All that was measured.

    Attributes:
        busy: share of the processors that other programs took, 0..1; None where the system does not say.
    """

    rows: list[Row] = field(default_factory=list[Row])
    left_out: list[str] = field(default_factory=list[str])
    busy: float | None = None


class Worker:
    """The process of a subject."""

    def __init__(self, subject: Subject) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, subject), daemon=True)
        self._process.start()
        theirs.close()
        self.loaded = self._receive()

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for the answer (RuntimeError: the process failed)."""
        self._connection.send(request)
        return self._receive()

    def _receive(self) -> Answer:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise RuntimeError("its process ended") from None
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        try:
            self._connection.send(None)
            self._process.join(2)
        except OSError:
            pass
        self._process.kill()
        self._process.join()


def run_command(command: Command) -> Answer:
    """Run a command line of this Python; its output goes nowhere. Its modules stay compiled, as installed ones are."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command.arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if not hasattr(os, "wait4"):  # Windows
        status, memory, cpu = process.wait(), 0.0, 0.0
    else:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        memory = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
        cpu = usage.ru_utime + usage.ru_stime
    if status:
        raise RuntimeError(f"the command failed: python {' '.join(command.arguments)}")
    return Answer({"run": cpu if command.processor else time.perf_counter() - start}, memory)


def measure(groups: Sequence[Group], seconds: float, progress: Callable[[str, float], None]) -> Measured:
    """Time all groups, in about so many seconds; ``progress`` is told what comes next, and the share that is gone."""
    start, used = time.monotonic(), _processor_seconds()
    measured = Measured()

    def tell(text: str) -> None:
        progress(text, min((time.monotonic() - start) / max(seconds, 1e-3), 1))

    workers: dict[Subject, Worker] = {}
    try:
        for index, group in enumerate(groups):
            weights = sum(later.weight for later in groups[index:])
            budget = max(seconds - (time.monotonic() - start), 0) * group.weight / weights
            _measure_group(group, time.monotonic() + budget, workers, measured, tell)
            needed = {case.subject for later in groups[index + 1 :] for case in later.cases}
            for subject in [one for one in workers if one not in needed]:
                workers.pop(subject).close()
    finally:
        for worker in workers.values():
            worker.close()
    if used is not None and (now := _processor_seconds()) is not None:
        others = (now[0] - used[0]) - (now[1] - used[1])
        measured.busy = max(others / (time.monotonic() - start) / (os.cpu_count() or 1), 0)
    return measured


def _measure_group(
    group: Group, end: float, workers: dict[Subject, Worker], measured: Measured, tell: Callable[[str], None]
) -> None:
    """Call each case once, then all in turns until the time ``end``, or ``MAX_ROUNDS`` times."""
    first: dict[Case, Answer] = {}
    base = 0.0
    for case in group.cases:
        tell(f"{group.title}: {case.name}")
        if base * case.cost and base * case.cost > end - time.monotonic():
            measured.left_out.append(f"{group.title}, {case.name}: no time")
            continue
        try:
            if case.subject and case.subject not in workers:
                workers[case.subject] = worker = Worker(case.subject)
                loaded = [worker.loaded.seconds]
                measured.rows.append(Row(LOAD, str(case.subject), 1, loaded[0], loaded, worker.loaded.peak_mb))
            first[case] = _ask(case, workers, is_first=True)
        except RuntimeError as error:
            measured.left_out.append(f"{group.title}, {case.name}: {error}")
            continue
        base = base or sum(first[case].seconds.values()) / (case.cost or 1)
    total = sum(sum(answer.seconds.values()) for answer in first.values())
    rounds = min(max(int((end - time.monotonic()) / max(total, 1e-3)), group.least), MAX_ROUNDS)
    answers: dict[Case, list[Answer]] = {case: [] for case in first}
    for number in range(rounds):
        for case, later in answers.items():
            tell(f"{group.title}: {case.name}, {number + 1} of {rounds}")
            later.append(_ask(case, workers))
    reference = next(iter(first), None)
    for case, later in answers.items():
        samples = [answer.seconds for answer in later] or [first[case].seconds]
        row = Row(group.title, case.name, case.per, first[case].seconds, samples, (later or [first[case]])[-1].peak_mb)
        if reference and case is not reference and _same_model(case, reference):
            row.psnr = _psnr(first[case].output, first[reference].output)
        measured.rows.append(row)


def _ask(case: Case, workers: dict[Subject, Worker], is_first: bool = False) -> Answer:
    if isinstance(case.request, Command):
        return run_command(case.request)
    assert case.subject
    wants_output = is_first and case.request.what == "network"
    return workers[case.subject].ask(replace(case.request, what="output") if wants_output else case.request)


def _same_model(case: Case, reference: Case) -> bool:
    return bool(case.subject and reference.subject and case.subject.model == reference.subject.model)


def _psnr(output: Any, reference: Any) -> float | None:
    """In dB, of images in [-1, 1], the first of each batch; None if there are none."""
    import numpy as np

    if output is None or reference is None:
        return None
    return float(10 * np.log10(4 / max(float(np.mean((output[0] - reference[0]) ** 2)), 1e-20)))


def _processor_seconds() -> tuple[float, float] | None:
    """Processor seconds that (all programs; this one and its ended children) have used; Linux only."""
    try:
        numbers = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _, _, irq, softirq, steal = numbers
    mine = os.times()
    everyone = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return everyone, mine.user + mine.system + mine.children_user + mine.children_system
