"""The command ``revisage`` as people call it: a process of its own."""

import subprocess
import sys

COMMAND = [sys.executable, "-m", "revisage"]


def revisage(*arguments, **options):
    """A call that has ended, with all that it said; ``options`` are those of ``subprocess.run``."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, **options)
