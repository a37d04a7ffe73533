"""Restores a photo on a server of `revisage serve`: http_client.py PHOTO RESULT [ADDRESS]."""

import sys
from pathlib import Path
from urllib.request import Request, urlopen

photo, result, address = [*sys.argv[1:], "http://127.0.0.1:8000"][:3]
request = Request(
    f"{address}/v1/restore?scale=2", Path(photo).read_bytes(), {"Content-Type": "application/octet-stream"}
)
with urlopen(request) as reply:
    Path(result).write_bytes(reply.read())
print(f"{result}: {reply.headers['X-Faces']} faces")
