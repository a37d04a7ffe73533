"""Ctrl-C and SIGTERM during a training: heard at once, obeyed between two steps.

In the middle of a step some networks have learnt and others have not; a state saved there would not be one that an
uninterrupted run passes through.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """A context in which the first signal is only noted; a second one interrupts as ever.

    Attributes:
        asked: whether someone wants the run to end.
    """

    SIGNALS = signal.SIGINT, signal.SIGTERM

    def __init__(self) -> None:
        self.asked = False
        self._before: list[object] = []

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # others may not handle signals
            self._before = [signal.signal(number, self._note) for number in self.SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in zip(self.SIGNALS, self._before, strict=False):
            signal.signal(number, before)  # pyright: ignore[reportArgumentType]

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
