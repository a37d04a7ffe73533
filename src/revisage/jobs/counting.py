"""Count the inputs of a run while it is at work: finding them all first would delay it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from threading import Event, Lock, Thread


class Count:
    """The number of items of something that can be iterated over more than once.

    ::

        with Count(sources) as count:
            count.value  # 0 until they are counted, in a thread

    Attributes:
        value: number of the items, 0 as long as it is not known.
    """

    def __init__(self, items: Iterable[object], report: Callable[[int], None] | None = None) -> None:
        """Begin with ``__enter__``; ``report`` is called with the number once it is known, maybe in a thread."""
        self._report = report
        self.value = len(items) if isinstance(items, Sized) else 0
        self._items = items
        self._finished = Event()
        self._reporting = Lock()

    def __enter__(self) -> Count:
        if not isinstance(self._items, Sized):
            Thread(target=self._count, daemon=True).start()
        elif self._report:
            self._report(self.value)
        return self

    def __exit__(self, *_: object) -> None:
        with self._reporting:  # what is told may be closed next
            self._finished.set()

    def _count(self) -> None:
        number = 0
        for _ in self._items:
            number += 1
            if self._finished.is_set():
                return
        self.value = number
        with self._reporting:
            if self._report and not self._finished.is_set():
                self._report(number)
