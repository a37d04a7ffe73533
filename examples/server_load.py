"""Measures a server of `revisage serve`: server_load.py PHOTO [CLIENTS] [SECONDS] [ADDRESS].

Each client sends a photo of its own (PHOTO, brighter by a level each) and checks that it gets its own back.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx
import numpy as np

import revisage

photo, clients, seconds, address = [*sys.argv[1:], *["4", "10", "http://127.0.0.1:8000"][len(sys.argv) - 2 :]]
image = revisage.read_image(photo)
service = httpx.Client(base_url=address, timeout=300, limits=httpx.Limits(max_connections=64))


def restore(number):
    upload = BytesIO()
    revisage.write_image(upload, np.clip(image.astype(int) + number, 0, 255).astype(np.uint8), format="png")
    expected, times = service.post("/v1/restore", content=upload.getvalue()).raise_for_status().content, []
    start = time.monotonic()
    while times == [] or time.monotonic() - start < float(seconds):
        sent = time.monotonic()
        assert service.post("/v1/restore", content=upload.getvalue()).raise_for_status().content == expected
        times.append(time.monotonic() - sent)
    return times, time.monotonic() - start


with ThreadPoolExecutor(int(clients)) as pool:
    done = list(pool.map(restore, range(int(clients))))
times = np.array([one for own, _ in done for one in own])
rate = len(times) / max(span for _, span in done)
print(f"{clients} clients: {rate:.2f} images/s, median {np.median(times):.3f} s, p95 {np.quantile(times, 0.95):.3f} s")
