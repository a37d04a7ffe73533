"""Messages are one line that a terminal can print, whatever a file brought into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.errors import CheckpointError, RevisageError


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ("two\nlines", r"two\nlines"),
        ("half \udcff of a character", r"half \udcff of a character"),
        ("\x1b[2Jempties the terminal", r"\x1b[2Jempties the terminal"),
        ("turned \u202eround", r"turned \u202eround"),
        ("写真 été\u3000.png", "写真 été\u3000.png"),
    ],
)
def test_what_a_terminal_would_obey_or_not_print_is_spelled_out(given_, said):
    assert str(CheckpointError(given_)) == said


@pytest.mark.parametrize("letter", ["x", "\0", "\udcff"])
def test_a_message_stays_short(letter):
    message = str(RevisageError("begin" + letter * 10**6 + "end"))
    assert len(message) < 2100
    assert message.startswith("begin")
    assert message.endswith("end")


@given(st.text(st.characters(codec=None)))
def test_any_message_can_be_printed_on_one_line(text):
    message = str(RevisageError(text))
    assert len(message.splitlines()) <= 1
    message.encode("utf-8")
