"""The example that measures the throughput of the data, with few samples."""

import re
import runpy
import sys

import cv2
import pytest
import torch

from locations import EXAMPLES

EXAMPLE = EXAMPLES / "degradation_speed.py"


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    threads = cv2.getNumThreads(), torch.get_num_threads()
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])


def test_samples_are_made_several_times_as_fast_as_done_plainly(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, "40"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    ratio = re.search(r": ([\d.]+) times as many", capsys.readouterr().out)
    assert float(ratio[1]) > 2  # above 3 on a quiet machine; see docs/data.md
