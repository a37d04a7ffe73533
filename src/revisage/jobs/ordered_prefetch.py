"""``map`` in threads ahead of the consumer: results in order, bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")
Passed = TypeVar("Passed")

THREADS = min(max(os.cpu_count() or 1, 4), 8)
"""At least four: besides computing they wait for the disk."""
PER_THREAD = 2
"""Items a thread, in progress or waiting."""
MAX_BYTES = 256 * 2**20
"""Bytes that they may hold together; a single item may be larger."""


def ordered_prefetch(
    function: Callable[[Item], Result],
    items: Iterable[Item | Passed],
    passed: type[Passed],
    bytes_of: Callable[[Item], int],
    *,
    prompt: bool = False,
    threads: int = THREADS,
    per_thread: int = PER_THREAD,
    max_bytes: int = MAX_BYTES,
) -> Generator[Result | Passed]:
    """Apply ``function`` to items in threads; yield results in the order of the items.

    Items are taken in the caller's thread, one at a time and only while there is room: ``per_thread`` items a thread,
    in progress or waiting, and ``max_bytes``, unless a single item exceeds it. ``bytes_of`` tells what an item or its
    result holds until it is yielded; 0 if limiting their number is enough. When the generator is closed, items in
    progress are finished and the rest is dropped. Errors of ``function`` are raised when the item's turn comes.

    Items of the type ``passed`` need no work and are yielded unchanged, in order. With ``prompt`` finished results are
    yielded before the next item is taken: for items that are slow to come.
    """
    waiting: deque[tuple[Future[Result] | Passed, int]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    held = 0

    def is_next_done() -> bool:
        first = waiting[0][0]
        return first.done() if isinstance(first, Future) else True

    def take() -> Result | Passed:
        nonlocal held
        first, freed = waiting.popleft()
        held -= freed
        return first.result() if isinstance(first, Future) else first

    try:
        for item in items:
            size = 0 if isinstance(item, passed) else bytes_of(cast("Item", item))
            while waiting and (held + size > max_bytes or len(waiting) >= per_thread * threads):
                yield take()
            waiting.append((item if isinstance(item, passed) else pool.submit(function, cast("Item", item)), size))
            held += size
            del item  # or it would live on while the next is made
            while prompt and waiting and is_next_done():
                yield take()
        while waiting:
            yield take()
    finally:
        pool.shutdown(cancel_futures=True)
