"""Measure the embedded restorer by onnxruntime and by torch on this machine's CPU, and the command on a small photo."""

import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

ROUNDS = sys.argv[1] if len(sys.argv) > 1 else "15"
CHILD = """
import sys, time, revisage; revisage.tune_process()
import numpy as np
from revisage.models.backends import open_network
from revisage.models.fetch import weight_file
network = open_network(weight_file("embedded"), "cpu", backend=sys.argv[1])
face, times = np.zeros((1, 3, 512, 512), np.float32), []
for _ in range(int(sys.argv[2]) + 1):
    start = time.perf_counter(); network(face); times.append(time.perf_counter() - start)
    if len(times) == 1: print(time.time())
print(sorted(times[1:])[len(times) // 2 - 1])"""


def run(*command: str) -> tuple[str, float, float, float]:
    """(what a program prints, when it started, seconds that it took, its peak memory in MB)."""
    start = time.time()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        printed = process.stdout.read()
        usage = os.wait4(process.pid, 0)[2]
    return printed, start, time.time() - start, usage.ru_maxrss / 1024


for backend in ("onnxruntime", "torch") if find_spec("torch") else ("onnxruntime",):
    printed, start, _, memory = run("-c", CHILD, backend, ROUNDS)
    first, median = map(float, printed.split())
    print(f"{backend:12}{median * 1000:5.0f} ms a face, the first {first - start:.2f} s after start, {memory:.0f} MB")
with tempfile.TemporaryDirectory() as folder:
    runs = [run("-m", "revisage", "restore", "examples/photo.jpg", "-o", folder, "--overwrite") for _ in range(3)]
print(f"the command: {min(run[2] for run in runs):.2f} s for a photo of 400 x 400, {runs[0][3]:.0f} MB")
