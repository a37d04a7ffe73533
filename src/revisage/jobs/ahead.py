"""Work in threads ahead of whoever takes the results, in order, and never more of it than memory has room for."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")
Settled = TypeVar("Settled")

THREADS = min(max(os.cpu_count() or 1, 4), 8)
"""At least four: besides computing they wait, for the disk to have what was written."""
EACH = 2
"""Items a thread that may be in work or waiting."""
BYTES = 256 * 2**20
"""What they may hold together; a single item may be larger."""


def ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item | Settled],
    settled: type[Settled],
    weight: Callable[[Item], int],
    *,
    prompt: bool = False,
    threads: int = THREADS,
    each: int = EACH,
    room: int = BYTES,
) -> Generator[Result | Settled]:
    """``map`` in threads: results in the order of the items, a bounded number of items and bytes ahead.

    Items are taken in the caller's thread. When the generator is closed, what has begun is finished and the rest
    dropped.

    Args:
        function: safe to call from several threads; what it raises comes out in the item's turn.
        items: taken one at a time, only while there is room.
        settled: items of this type need no work, and are handed on in their turn as they are.
        weight: bytes that an item or its result holds until it is handed on; 0 if their number is bound enough.
        prompt: hand on what is finished before taking the next item. For items that are slow to come; those that come
            quickly had better fill the room first.
        threads: how many.
        each: items a thread that may be in work or waiting.
        room: bytes.
    """
    waiting: deque[tuple[Future[Result] | Settled, int]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    load = 0

    def is_next_done() -> bool:
        first = waiting[0][0]
        return first.done() if isinstance(first, Future) else True

    def take() -> Result | Settled:
        nonlocal load
        first, freed = waiting.popleft()
        load -= freed
        return first.result() if isinstance(first, Future) else first

    try:
        for item in items:
            size = 0 if isinstance(item, settled) else weight(cast("Item", item))
            while waiting and (load + size > room or len(waiting) >= each * threads):
                yield take()
            waiting.append((item if isinstance(item, settled) else pool.submit(function, cast("Item", item)), size))
            load += size
            del item  # or it would live on while the next is made
            while prompt and waiting and is_next_done():
                yield take()
        while waiting:
            yield take()
    finally:
        pool.shutdown(cancel_futures=True)
