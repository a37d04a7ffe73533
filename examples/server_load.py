"""Measures `revisage serve` beside one worker; replies are checked: server_load.py PHOTO [SECONDS] [QUERY]."""

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


def ask(service, number):
    image, upload = revisage.read_image(photo), BytesIO()
    revisage.write_image(upload, np.minimum(image, 255 - number) + np.uint8(number), format="jpg", quality=92)
    first, times, end = None, [], time.monotonic() + float(seconds)
    while (sent := time.monotonic()) < end or len(times) < 2:
        reply = service.post(f"/v1/restore?{query}", content=upload.getvalue()).raise_for_status().content
        first, times = first or reply, [*times, time.monotonic() - sent]
        assert reply == first, "the reply is another client's"
    return np.array(times[1:])  # the first one loads what is loaded on demand


for options in (["--workers", "1"], []) * 2:
    command = [sys.executable, "-m", "revisage", "serve", "--port", "0", "--no-page", *options, "--jobs"]
    with TemporaryDirectory() as jobs, subprocess.Popen([*command, jobs], stdout=-1, text=True) as server:
        address = server.stdout.readline().split()[2]
        for clients in (4,) if options else (1, 4, 16):
            with httpx.Client(base_url=address, timeout=300) as service:
                done = list(ThreadPoolExecutor(clients).map(ask, [service] * clients, range(clients)))
            rate, spans = sum(len(one) / one.sum() for one in done), np.concatenate(done)
            told = f"{rate:.2f} images/s, median {np.median(spans):.3f} s, p95 {np.quantile(spans, 0.95):.3f} s"
            print(f"{clients} clients{', one worker' * bool(options)}: {told}", flush=True)
        server.terminate()
