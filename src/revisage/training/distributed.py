"""The processes of a run: started by ``torchrun``, one for each GPU, or a few on one CPU; and the signals that end it.

Each process computes the gradient of its shard of the batch; their mean is what every process applies. Gradients are
averaged by hand rather than by a wrapper around the networks: several networks are optimized in one step, some with
gradients of gradients, which a wrapper does not notice (the same choice as NVIDIA's stylegan2-ada-pytorch).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from revisage.errors import TrainingError


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
    """

    SIGNALS = signal.SIGINT, signal.SIGTERM

    def __init__(self) -> None:
        self.requested = False
        self._before: list[Any] = []

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # others may not handle signals
            self._before = [signal.signal(number, self._note) for number in self.SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in zip(self.SIGNALS, self._before, strict=False):
            signal.signal(number, before)

    def _note(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
