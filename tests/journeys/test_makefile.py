import os
import shutil
import subprocess

import pytest

from locations import ROOT


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def pretending(folder, word):
    """A Python whose check of ``word`` fails."""
    script = folder / "python"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in --version) echo Python 3.8.1; exit 0;; *{word}*) exit 1;; esac\nexec python3 "$@"\n'
    )
    script.chmod(0o755)
    return script


def make(target, cwd, *settings):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", target, *settings]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_python_too_old_is_named_and_nothing_is_made(clone, target):
    result = make(target, clone, f"PYTHON={pretending(clone, 'version_info')}")
    assert result.returncode != 0
    assert "revisage needs Python 3.11 or newer; Python 3.8.1 is too old" in result.stderr
    assert not (clone / ".venv").exists()


def test_a_full_disk_is_named_before_anything_is_installed(clone):
    result = make("demo", clone, f"PYTHON={pretending(clone, 'disk_usage')}")
    assert result.returncode != 0
    assert "free disk" in result.stderr
    assert not (clone / ".venv").exists()


def test_what_is_installed_is_not_installed_again(clone):
    (clone / ".venv" / "bin").mkdir(parents=True)
    for name in ("bin/python", "installed", "installed-dev"):
        (clone / ".venv" / name).touch()
    planned = make("test", clone, "--dry-run").stdout
    assert "pytest" in planned
    assert "pip" not in planned


def test_the_disk_that_is_asked_for_is_that_of_what_is_installed(clone):
    """Without torch the environment takes 0.4 GB, with it 1.6 GB."""
    python = f"PYTHON={pretending(clone, 'disk_usage')}"
    assert "needs 600 MB of free disk" in make("demo", clone, python).stderr
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").touch()
    assert "needs 2500 MB of free disk" in make("test", clone, python).stderr


def test_the_demo_shows_that_it_installs_and_ends_with_the_command_for_a_photo_of_ones_own(clone):
    planned = make("demo", clone, "--dry-run").stdout
    assert "installing revisage into .venv" in planned
    assert "--quiet" not in planned
    assert planned.splitlines()[-1].endswith('.venv/bin/revisage restore PHOTO"')
