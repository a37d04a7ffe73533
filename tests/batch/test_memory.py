"""Memory does not grow with the number of photos. ``docs/batch.md`` has the curve for ten thousand."""

import re
import subprocess
import sys

import pytest

from locations import EXAMPLES

SCRIPT = EXAMPLES / "folder_memory.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_over_a_folder():
    """A list of the outcomes alone would take half a MiB, one of the pictures thirteen."""
    said = subprocess.run(
        [sys.executable, str(SCRIPT), "600"], capture_output=True, text=True, timeout=600, check=True
    ).stdout
    curves = [[float(number) for number in line.split("MiB: ")[1].split()] for line in said.splitlines()]
    assert [len(curve) for curve in curves] == [10, 10]
    assert max(curve[-1] - curve[2] for curve in curves) < 4
    assert len(re.findall("a second", said)) == 2
