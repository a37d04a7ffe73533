"""The progress bar: silent off a terminal, and on one it learns the number of things as they are counted."""

import io
from threading import Event

import pytest
from rich.console import Console

from revisage.cli.console import complain, say, warn, with_progress


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal would show."""
    shown = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=shown, force_terminal=True, width=100))
    return shown


def test_off_a_terminal_nothing_is_shown_or_counted(capfd):
    def never():
        raise AssertionError("counted")
        yield

    assert list(with_progress(range(3), never(), "restoring")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_the_number_is_counted_meanwhile(terminal):
    counted = Event()

    def things():
        yield from range(50)
        counted.set()

    def items():
        yield "first"
        assert counted.wait(20)
        yield from range(49)

    assert len(list(with_progress(items(), things(), "restoring"))) == 50
    assert "0/?" in terminal.getvalue()
    assert "50/50" in terminal.getvalue()


def test_counting_ends_with_the_run(terminal):
    stopped = Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            stopped.set()

    for _ in with_progress(range(3), endless(), "restoring"):
        pass
    assert stopped.wait(20)


def test_a_name_with_line_breaks_stays_on_one_line(capfd):
    for tell in (say, warn, complain):
        tell("a\nb\x1b[31m.jpg: 1 face")
    line = "a\\nb\\x1b[31m.jpg: 1 face\n"
    assert capfd.readouterr() == (line, f"warning: {line}error: {line}")
