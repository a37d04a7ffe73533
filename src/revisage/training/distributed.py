"""The processes of a run: started by ``torchrun``, one for each GPU, or a few on one CPU; and the signals that end it.

Each process computes the gradient of its shard of the batch; their mean is what every process applies. Gradients are
averaged by hand rather than by a wrapper around the networks: several networks are optimized in one step, some with
gradients of gradients, which a wrapper does not notice (the same choice as NVIDIA's stylegan2-ada-pytorch).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from revisage.errors import RevisageError, TrainingError

Item = TypeVar("Item")


@dataclass(frozen=True)
class World:
    """The processes of a run, and which of them this one is."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def shard(self, count: int) -> range:
        """Indices of this process's part of ``count`` items."""
        return range(self.rank, count, self.size)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over all processes, in one message."""
        values = list(tensors)
        if self.size == 1 or not values:
            return
        flat = torch.cat([value.flatten() for value in values])
        distributed.all_reduce(flat)
        flat /= self.size
        for value, mean in zip(values, flat.split([value.numel() for value in values]), strict=True):
            value.copy_(mean.view_as(value))

    def average_gradients(self, network: nn.Module) -> None:
        """Give every process the mean gradient; a parameter without a gradient counts as zero where others have one."""
        if self.size == 1:
            return
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average(parameter.grad for parameter in trained if parameter.grad is not None)

    def broadcast_from_rank0(self, network: nn.Module) -> None:
        """Give every process the weights of the first."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                whole = tensor.contiguous()  # NCCL refuses other orders, such as channels last in five dimensions
                distributed.broadcast(whole, 0)
                tensor.copy_(whole)

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process; all wait for each other to know."""
        if self.size == 1:
            return flag
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        found = torch.tensor(int(flag), device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return bool(found)

    def gather(self, items: list[Any]) -> list[Any]:
        """All processes' items in the order of :meth:`shard`, in every process."""
        if self.size == 1:
            return items
        parts: list[list[Any]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, items)
        longest = max(map(len, parts))
        return [part[index] for index in range(longest) for part in parts if index < len(part)]


def current_world() -> World:
    """The world that this process has joined, else one of a single process."""
    return World(distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else World()


@contextmanager
def join(device: torch.device) -> Generator[tuple[World, torch.device]]:
    """Enter the world that ``torchrun`` has set up, if it has: NCCL on CUDA devices, gloo elsewhere.

    Yields the world and this process's device, with CUDA the one of its local rank (TrainingError: no connection).
    """
    if "WORLD_SIZE" not in os.environ:
        yield World(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # Optimizers import this, and it keeps the group that is there by then. The group's threads would go on after the
    # end of the run, and abort the process if Python ended while one of them holds a tensor.
    import_module("torch._dynamo")
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the processes of this run cannot connect: {error}") from error
    try:
        yield current_world(), device
    finally:
        distributed.destroy_process_group()


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM is noted in ``requested``, to be obeyed after a step.

    A second one raises. In the middle of a step some networks are updated and others are not: a state saved there would
    be none that an uninterrupted run passes through.

    Processes leave together, between two steps, although a signal or a damaged image comes to one of them alone: if it
    just left, the others would wait for it in the middle of their next step, until that fails or torchrun kills them.
    Not covered is an error that one process alone meets within a step or a validation, such as too little memory.
    With gloo the others fail then, and the first saves; with NCCL they are killed, and the last save is what remains.
    """

    SIGNALS = signal.SIGINT, signal.SIGTERM

    def __init__(self, world: World) -> None:
        self.requested = False
        self._world = world
        self._leaving = False
        self._before: list[Any] = []

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # others may not handle signals
            self._before = [signal.signal(number, self._note) for number in self.SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._leaving:
                # The first process saves on its way here: torchrun gives it little time once another has ended.
                with suppress(RuntimeError):  # one that did not wait: what this process raises says more
                    self._world.any(False)
        finally:
            for number, before in zip(self.SIGNALS, self._before, strict=False):
                signal.signal(number, before)

    def agreed(self) -> bool:
        """Whether any process is asked to stop, hence all: then the caller leaves this context."""
        self._leaving = self._world.any(self.requested)
        return self._leaving

    def together(self, items: Iterator[Item]) -> Iterator[Item]:
        """As many items in every process; an error on the way to one of them is raised in all processes."""
        if self._world.size == 1:
            yield from items
            return
        while True:
            item = failure = None
            try:
                item = next(items, None)
            except Exception as error:
                failure = error
            if self._world.any(failure is not None):
                self._leaving = True
                # Errors of the package survive pickling; others may not, and their text is enough to know them by.
                sent = failure if failure is None or isinstance(failure, RevisageError) else RuntimeError(repr(failure))
                failures = self._world.gather([sent])
                raise failure or next(filter(None, failures))
            if item is None:
                return
            yield item

    def _note(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
