import os
import subprocess
import sys

import pytest

from revisage.errors import InputError
from revisage.process import keep_freed_memory, thread_count, tune_process


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)


def test_waiting_threads_sleep_soon():
    tune_process()
    assert os.environ["GOMP_SPINCOUNT"] == "3000"
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "17"), ("OMP_WAIT_POLICY", "passive")])
def test_what_the_user_chose_stays(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    tune_process()
    assert os.environ[name] == value
    assert (name == "GOMP_SPINCOUNT") == ("GOMP_SPINCOUNT" in os.environ)


def test_number_of_threads(monkeypatch):
    assert 1 <= thread_count() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "7,2")
    assert thread_count() == 7
    with pytest.raises(InputError, match="from 1, not 0"):
        tune_process(0)


def test_threads_reach_torch():
    code = (
        "from revisage.process import thread_count, tune_process; tune_process(1); import torch;"
        "print(torch.get_num_threads(), thread_count()); tune_process(2);"
        "print(torch.get_num_threads(), thread_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "2", "2"]


@pytest.mark.skipif(keep_freed_memory() is False, reason="needs glibc")
@pytest.mark.parametrize(("context", "kept"), [("nullcontext()", True), ("opening_model()", False)])
def test_freed_memory_is_kept_but_not_that_of_opening_a_model(context, kept):
    code = f"""
from contextlib import nullcontext
from revisage.process import keep_freed_memory, opening_model
def resident():
    return int(open("/proc/self/statm").read().split()[1]) // 256
keep_freed_memory()
before = resident()
with {context}:
    blocks = [bytearray(2**20) for _ in range(64)]
    del blocks
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 50) is kept
