"""Looking a few items back and ahead in a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Note = TypeVar("Note")


def windows(
    items: Iterable[Item], radius: int, note: Callable[[Item], Note]
) -> Iterator[tuple[Item, list[tuple[int, Note]]]]:
    """Each item of a stream with notes on its neighbours.

    Items come out ``radius`` later than they go in. An item is let go as soon as it is out; of those before it only the
    notes are kept, so that memory is bounded by ``radius`` whatever the length of the stream.

    Args:
        items: the stream.
        radius: how many neighbours before and after count; fewer at the ends of the stream.
        note: what is remembered of an item.

    Yields:
        the item, and for each of its neighbours and itself the distance (negative before it) and the note, in order.
    """
    waiting: deque[Item] = deque()
    notes: deque[Note] = deque(maxlen=2 * radius + 1)

    def centre() -> tuple[Item, list[tuple[int, Note]]]:
        place = len(notes) - len(waiting)
        return waiting.popleft(), [(at - place, one) for at, one in enumerate(notes)]

    for item in items:
        waiting.append(item)
        notes.append(note(item))
        if len(waiting) > radius:
            yield centre()
    while waiting:
        # The deque is full of older notes, or the film is short: drop those that no longer count.
        while len(notes) - len(waiting) > radius:
            notes.popleft()
        yield centre()
