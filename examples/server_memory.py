"""Follows the memory of a server over many requests: server_memory.py [REQUESTS] (Linux; it starts its own server).

Every 50th request has a face; the others end with its detection, so that thousands take minutes.
"""

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

import revisage

requests = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
with TemporaryDirectory() as jobs:
    command = [sys.executable, "-m", "revisage", "serve", "--port", "0", "--no-page", "--jobs", jobs]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = server.stdout.readline().split()[2]
    try:
        face, plain = BytesIO(), BytesIO()
        revisage.write_image(face, revisage.read_image(Path(__file__).with_name("photo.jpg"))[::3, ::3], format="png")
        revisage.write_image(plain, np.full((32, 32, 3), 90, np.uint8), format="png")
        with httpx.Client(base_url=address, timeout=60) as client:
            for number in range(requests + 1):
                if number % max(requests // 10, 1) == 0:
                    status = Path(f"/proc/{server.pid}/status").read_text()
                    used = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
                    print(f"{number:6} requests: {int(used) / 1000:.1f} MB", flush=True)
                upload = plain if number % 50 else face
                reply = client.post("/v1/restore?scale=1", content=upload.getvalue()).raise_for_status()
                assert reply.headers["x-faces"] == ("0" if number % 50 else "1")
    finally:
        server.terminate()
        server.wait(60)
