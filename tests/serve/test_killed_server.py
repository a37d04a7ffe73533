"""A server that is killed: what it accepted is finished by the next one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from stand_ins_of_serve import encoded, flat

from revisage.images import read_image

SERVER = """
import sys, time
from pathlib import Path
import uvicorn
from stand_ins_of_serve import engine, invert
from revisage.serve.app import create_app

def network(crops):
    time.sleep(float(sys.argv[2]))
    return invert(crops)

made = engine(network, jobs_folder=Path(sys.argv[1]))
server = uvicorn.Server(uvicorn.Config(create_app(made.settings, made), port=0, log_level="error"))
server.config.load()
listener = server.config.bind_socket()
print(listener.getsockname()[1], flush=True)
server.run([listener])
"""
LEVELS = range(10, 110, 10)


@pytest.fixture
def start():
    """Start servers in processes of their own; returns each and its address."""
    started = []

    def make(folder, seconds):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", SERVER, str(folder), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process, f"http://127.0.0.1:{process.stdout.readline().strip()}"

    yield make
    for process in started:
        process.kill()
        process.wait(30)
        process.stdout.close()


def wait_for(address, id, condition):
    for _ in range(600):
        job = httpx.get(f"{address}/v1/jobs/{id}", timeout=30).json()
        if condition(job):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_server_resumes_its_job(tmp_path, start):
    server, address = start(tmp_path, 0.2)
    files = [("image", (f"{level}.png", encoded(flat(level)))) for level in LEVELS]
    id = httpx.post(f"{address}/v1/jobs?scale=1", files=files, timeout=30).json()["id"]
    before = wait_for(address, id, lambda job: job["done"] >= 2)
    server.kill()
    server.wait(30)
    assert before["done"] < len(LEVELS)
    finished = {path: path.stat().st_mtime_ns for path in Path(tmp_path, id, "results").glob("*.png")}

    _, address = start(tmp_path, 0)
    job = wait_for(address, id, lambda job: job["state"] == "done")
    assert [file["name"] for file in job["files"]] == [f"{level}.png" for level in LEVELS]
    for level, file in zip(LEVELS, job["files"], strict=True):
        assert (file["status"], file["faces"][0]["status"]) == ("done", "restored")
        result = httpx.get(f"{address}/v1/jobs/{id}/results/{file['result']}", timeout=30).content
        assert read_image(result)[12, 10, 0] == 255 - level
    again = [path for path, changed in finished.items() if path.stat().st_mtime_ns != changed]
    assert len(again) <= 1  # one may have been written, and not been noted yet
