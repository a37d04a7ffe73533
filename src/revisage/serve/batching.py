"""Faces of several requests in one call of the network, without waiting for any."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from revisage.restore.enhance import RestoreNetwork

_Item = tuple[NDArray[np.float32], "Future[NDArray[np.float32]]"]


class MicroBatcher:
    """A network that threads share: whatever waits while a call runs goes through the next one together.

    A lone face never waits for company, so batches cost no latency; they form where there is a queue.

    Args:
        network: (N, 3, S, S) -> the same shape, each image on its own.
        most: faces in one call, unless a caller alone has more.
    """

    def __init__(self, network: RestoreNetwork, most: int) -> None:
        self._network = network
        self._most = most
        self._waiting: deque[_Item] = deque()  # taken from by the one thread only
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, S, S) float32 -> the same shape; blocks until the call that takes them has run."""
        future: Future[NDArray[np.float32]] = Future()
        self._waiting.append((batch, future))
        self._thread.submit(self._run_waiting)  # one for each item, so that none is left
        return future.result()

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        self._thread.shutdown()

    def _run_waiting(self) -> None:
        items: list[_Item] = []
        count = 0
        while self._waiting and (not items or count + len(self._waiting[0][0]) <= self._most):
            items.append(self._waiting.popleft())
            count += len(items[-1][0])
        if items:  # else an earlier call took it
            self._run(items)

    def _run(self, items: Sequence[_Item]) -> None:
        """Run the network on items; if it fails on several, on each alone: one must not cost the others."""
        try:
            results = self._network(np.concatenate([batch for batch, _ in items]))
        except Exception as error:
            if len(items) == 1:
                items[0][1].set_exception(error)
                return
            for item in items:
                self._run([item])
            return
        start = 0
        for batch, future in items:
            future.set_result(results[start : start + len(batch)])
            start += len(batch)
