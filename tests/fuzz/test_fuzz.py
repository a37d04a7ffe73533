"""The bounded run: damaged files for every target, the same ones each time. `drive.py` runs for as long as wished."""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest
from containment import ViolationError, attempt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import damaged, repaired
from targets import SUBJECTS

from revisage.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")  # of damaged files Pillow and NumPy have much to say
CASES = 60
"""For each target: about twenty seconds in all."""


def one(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        attempt(SUBJECTS[name].run, data, Path(folder))


@pytest.mark.parametrize("name", SUBJECTS)
def test_valid_and_strange_files_are_read_or_refused(name):
    for data in (b"", *SUBJECTS[name].seeds()):
        one(name, data)


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=CASES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**32), repair=st.booleans())
def test_damaged_files_are_read_or_refused(name, number, repair):
    originals, rng = list(SUBJECTS[name].seeds()), random.Random(number)
    data = damaged(rng.choice(originals), originals, rng)
    one(name, repaired(data) if repair else data)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (lambda *_: os.system(""), "touched"),
        (lambda _, folder: (folder / ".." / "x").mkdir(), "touched"),
        (lambda _, folder: (folder.parent / "x").write_text("x"), "touched"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda *_: sys.exit(), "SystemExit"),
        (lambda *_: burn(0.3), "it took"),
        (lambda *_: fail("two\nlines input", escaped=False), "no line"),
        (lambda *_: fail("something is wrong"), "names no file"),
    ],
)
def test_the_guard_sees_what_a_target_must_not_do(tmp_path, monkeypatch, target, what):
    monkeypatch.setattr("containment.SECONDS", 0.2)
    (tmp_path / "own").mkdir()
    with pytest.raises(ViolationError, match=what):
        attempt(target, b"", tmp_path / "own")


def burn(seconds: float) -> None:
    """Use up processor time, however fast the processor is."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def fail(message: str, escaped: bool = True) -> None:
    error = InputError(message)
    if not escaped:
        error.args = (message,)
    raise error


def test_what_a_target_does_in_its_own_folder_is_its_own_business(tmp_path):
    def target(data: bytes, folder: Path) -> None:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_bytes(data)

    assert attempt(target, b"x", tmp_path) is None


def test_damage_is_damage():
    rng, originals = random.Random(0), [bytes(range(256))]
    assert sum(damaged(originals[0], originals, rng) != originals[0] for _ in range(100)) > 90
