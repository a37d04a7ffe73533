"""The server as people run it: the lines of its page, kill -9 in the middle of a job, a tidy end."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from command import COMMAND

import revisage
from locations import EXAMPLES, PORTRAIT, ROOT

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def start(tmp_path):
    """Start a server -> its process and its address."""
    started = []

    def begin():
        command = [*COMMAND, "serve", "--port", "0", "--no-page", "--jobs", str(tmp_path / "jobs")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline().split()[2]

    yield begin
    for process in started:
        process.kill()
        process.stdout.close()


def get(address):
    with urllib.request.urlopen(address, timeout=60) as reply:
        return json.load(reply)


def curl(line, folder, address):
    """Run a line of the page as it stands, but for the port."""
    arguments = shlex.split(line.replace(ADDRESS, address))
    return subprocess.run([*arguments, "-sSf"], cwd=folder, capture_output=True, timeout=120, check=True).stdout


def wait_until(address, id, is_reached):
    for _ in range(1200):
        job = get(f"{address}/v1/jobs/{id}")
        if is_reached(job):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


@pytest.fixture
def folder(tmp_path):
    """A folder with the photos that the page names, reduced to heads: they are quick."""
    for name, source in (("examples/photo.jpg", EXAMPLES / "photo.jpg"), ("tests/data/astronaut.jpg", PORTRAIT)):
        image = revisage.read_image(source)
        size = len(image)
        head = image[size // 25 : size * 11 // 25, size // 4 : size * 16 // 25][::2, ::2]
        revisage.write_image(tmp_path / name, head)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None or sys.platform == "win32", reason="needs curl and signals")
def test_a_server_from_its_start_to_its_end(start, folder):
    process, address = start()
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    restore, strip, faces, detect, job = [line[2:] for line in re.findall(r"^\$ curl .*", page, re.MULTILINE)]
    curl(restore, folder, address)
    curl(strip, folder, address)
    small, large = (revisage.read_image(folder / name) for name in ("examples/photo.jpg", "restored.jpg"))
    assert large.shape == (2 * len(small), 2 * small.shape[1], 3)
    assert [face["status"] for face in json.loads(curl(faces, folder, address))["faces"]] == ["restored"]
    assert len(json.loads(curl(detect, folder, address))["faces"]) == 1
    subprocess.run(
        [sys.executable, EXAMPLES / "http_client.py", "examples/photo.jpg", "client.jpg", address], cwd=folder
    )
    assert (folder / "client.jpg").read_bytes() == (folder / "restored.jpg").read_bytes()

    many = " ".join([job, *["-F image=@examples/photo.jpg"] * 6])
    id = json.loads(curl(many, folder, address))["id"]
    wait_until(address, id, lambda job: job["done"] >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process, address = start()
    job = wait_until(address, id, lambda job: job["state"] == "done")
    assert [file["status"] for file in job["files"]] == ["done"] * 8
    assert all(file["faces"] for file in job["files"])

    id = json.loads(curl(many, folder, address))["id"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    _, address = start()
    assert wait_until(address, id, lambda job: job["state"] == "done")["done"] == 8


def test_a_taken_port_is_one_line(start, tmp_path):
    _, address = start()
    port = address.rpartition(":")[2]
    command = [*COMMAND, "serve", "--port", port, "--jobs", str(tmp_path / "others")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: cannot listen on 127.0.0.1:{port}: .*; try another --port\n", done.stderr)


@pytest.mark.slow
def test_the_scripts_that_measure_a_server(folder):
    load = [EXAMPLES / "server_load.py", "examples/photo.jpg", "1"]
    done = subprocess.run([sys.executable, *load], cwd=folder, capture_output=True, text=True, timeout=240, check=True)
    assert re.match(r"4 clients, one worker: [\d.]+ images/s, median [\d.]+ s, p95 [\d.]+ s", done.stdout)
    assert len(done.stdout.splitlines()) == 8
    memory = [sys.executable, EXAMPLES / "server_memory.py", "20"]
    done = subprocess.run(memory, capture_output=True, text=True, timeout=120, check=True)
    assert len(done.stdout.splitlines()) == 11
