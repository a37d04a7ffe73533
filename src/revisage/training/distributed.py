"""Several processes that train one network: started by ``torchrun``, one for each GPU, or a few on one CPU.

Each process computes the gradient of its share of the batch; the mean of them is what everyone learns from. Gradients
are averaged by hand rather than by wrapping the networks: several networks take optimizer_steps in one step, some with
gradients of gradients, which a wrapper does not see (the same choice as NVIDIA's stylegan2-ada-pytorch).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from revisage.errors import TrainingError


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def shard(self, count: int) -> range:
        """This process's part of ``count`` items."""
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
        """Begin with the weights of the first process."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)

    def gather(self, items: list[Any]) -> list[Any]:
        """All processes' items in the order of ``share``, in every process."""
        if self.size == 1:
            return items
        parts: list[list[Any]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, items)
        longest = max(map(len, parts))
        return [part[place] for place in range(longest) for part in parts if place < len(part)]


def present() -> World:
    """The world that this process has joined, if any."""
    return World(distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else World()


@contextmanager
def join(device: str) -> Generator[tuple[World, torch.device]]:
    """Enter the world that ``torchrun`` has set up, if it has: NCCL on CUDA devices, gloo elsewhere.

    Yields:
        (the world; this process's device: with CUDA the one of its local rank)

    Raises:
        TrainingError: the processes do not find each other.
    """
    if "WORLD_SIZE" not in os.environ:
        yield World(), torch.device(device)
        return
    own = torch.device(device)
    if own.type == "cuda":
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)
    try:
        distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the processes of this run do not find each other: {error}") from error
    try:
        yield present(), own
    finally:
        distributed.destroy_process_group()
