"""``revisage --version``, ``models``, ``doctor``: what the installation says of itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import revisage

from revisage import __version__


def test_version():
    assert revisage("--version").stdout == f"revisage {__version__}\n"


def test_help_lists_the_commands():
    done = revisage("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("restore", "models", "doctor"))


def test_unknown_command():
    done = revisage("repaint")
    assert done.returncode == 2
    assert "repaint" in done.stderr


def test_models():
    done = revisage("models")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^embedded .*CoarseToFineUNet", done.stdout, re.MULTILINE)
    assert re.search(r"^embedded-detector .*RetinaFace", done.stdout, re.MULTILINE)
    assert "Apache-2.0" in done.stdout


def test_doctor():
    done = revisage("doctor", "--device", "cpu", "--dtype", "float32")
    assert done.returncode == 0, done.stderr
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in done.stdout.splitlines())
    assert {
        "revisage",
        "Python",
        "torch",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "onnxruntime",
        "devices of torch",
    } <= set(facts)
    assert (facts["device"], facts["dtype"]) == ("cpu", "float32")
    assert "requested" in facts["because"]
    assert "MB" in facts["embedded"]
    assert "MB" in facts["embedded-detector"]


def test_installed_command_is_the_same():
    script = Path(sys.executable).parent / "revisage"
    if not script.exists():
        pytest.skip("installed without scripts")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == f"revisage {__version__}\n"
