"""docs/cli.md is generated from the code by `make docs`."""

import subprocess
import sys

from locations import ROOT


def test_the_page_of_the_command_line_is_up_to_date(tmp_path):
    page = tmp_path / "cli.md"
    command = [
        sys.executable,
        "-m",
        "typer",
        "revisage.cli",
        "utils",
        "docs",
        "--name",
        "revisage",
        "--output",
        str(page),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), "run `make docs`"
