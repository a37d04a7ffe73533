"""The command ``revisage`` as people call it: a process of its own."""

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = [sys.executable, "-m", "revisage"]
TIMEOUT = 600


def revisage(*arguments, cwd=".", errors="strict"):
    """A call that has ended, with all that it said.

    It runs in a fork of a warm process, see ``forked.py``; where there are no forks, in a process from scratch.
    """
    command = [*COMMAND, *map(str, arguments)]
    if not hasattr(os, "fork"):
        return subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", errors=errors, timeout=TIMEOUT, cwd=cwd
        )
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        call = {
            "arguments": command[len(COMMAND) :],
            "folder": str(Path(cwd).absolute()),
            "environment": dict(os.environ),
            "output": str(said[0]),
            "errors": str(said[1]),
        }
        server.stdin.write(json.dumps(call) + "\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], TIMEOUT)[0]:
            raise subprocess.TimeoutExpired(command, TIMEOUT)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, *(path.read_text("utf-8", errors) for path in said))


@functools.cache
def _server():
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forked.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.kill)
    return server
