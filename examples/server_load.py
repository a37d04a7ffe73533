"""Measures `revisage serve` under load, beside a server with one worker: server_load.py PHOTO [SECONDS] [QUERY].

Each client sends a photo of its own (PHOTO, brighter by a level each) and checks that it gets its own back.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from tempfile import TemporaryDirectory

import httpx
import numpy as np

import revisage

photo, seconds, query = [*sys.argv[1:], *["10", "scale=2"][len(sys.argv) - 2 :]]
image = revisage.read_image(photo)


def load(address, clients):
    service = httpx.Client(base_url=address, timeout=300, limits=httpx.Limits(max_connections=64))
    end = []

    def ask(number):
        upload = BytesIO()
        brighter = np.clip(image.astype(int) + number, 0, 255).astype(np.uint8)
        revisage.write_image(upload, brighter, format="jpg", quality=92)
        first, times = service.post(f"/v1/restore?{query}", content=upload.getvalue()).raise_for_status().content, []
        end.append(time.monotonic() + float(seconds))
        while time.monotonic() < max(end):
            sent = time.monotonic()
            reply = service.post(f"/v1/restore?{query}", content=upload.getvalue()).raise_for_status()
            times.append((sent, time.monotonic()))
            assert reply.content == first, "the reply is another client's"
        return times

    with ThreadPoolExecutor(clients) as pool:
        done = [one for times in pool.map(ask, range(clients)) for one in times]
    counted = [(sent, got) for sent, got in done if sent > max(end) - float(seconds)]  # all were asking
    spans = np.array([got - sent for sent, got in counted])
    rate = len(counted) / (max(got for _, got in counted) - min(sent for sent, _ in counted))
    return f"{rate:.2f} images/s, median {np.median(spans):.3f} s, p95 {np.quantile(spans, 0.95):.3f} s"


with TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "revisage", "serve", "--port", "0", "--no-page", "--jobs"]
    commands = [[*command, f"{folder}/1", "--workers", "1"], [*command, f"{folder}/2"]]
    servers = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    single, server = (one.stdout.readline().split()[2] for one in servers)
    try:
        for _ in range(2):
            print("one worker, 4 clients:", load(single, 4), flush=True)
            for clients in (1, 4, 16):
                print(f"{clients} clients:", load(server, clients), flush=True)
    finally:
        for one in servers:
            one.terminate()
            one.wait(60)
