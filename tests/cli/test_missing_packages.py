"""Commands where the packages of their extra are not installed: one line that says which extra brings them."""

import subprocess
import sys

import pytest

from locations import ROOT

PORTRAIT = ROOT / "tests" / "data" / "astronaut.jpg"
CODE = """
import sys
for name in ("torch", "safetensors"):
    sys.modules[name] = None
from revisage.cli import main
sys.argv[1:] = {arguments}
main()
"""


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train", "recipe.yml"], "train"),
        (["prepare", "a.jpg"], "torch"),
        (["degrade", "a.jpg"], "torch"),
        (["convert", "a.pth", "b.safetensors"], "torch"),
        (["evaluate", "embedded", "--gt", ".", "--lq", "."], "torch"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_missing_torch_is_one_line_that_says_the_extra(arguments, extra, tmp_path):
    (tmp_path / "a.jpg").write_bytes(PORTRAIT.read_bytes())
    command = [sys.executable, "-c", CODE.format(arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {arguments[0]} needs torch: pip install 'revisage[{extra}]'\n",
    )
