"""The Python that pages show runs as it stands."""

import re

import pytest
from torch.distributed.run import parse_args

from locations import EXAMPLES, ROOT


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/controls.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(EXAMPLES, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile("\n".join(blocks), page, "exec"), {})
    written = re.findall(r'write_image\("([^"]+)"', text)
    assert all((tmp_path / name).stat().st_size > 0 for name in written)


@pytest.mark.parametrize("page", ["docs/training.md", "docs/scaling.md", "docs/cli.md", "recipes/gfpgan_v1.yml"])
def test_torchrun_hands_all_options_on(page):
    """torchrun takes `--run` for its own `--run-path` unless `--` comes before."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"torchrun ([^\n`#]*revisage train [^\n`#]*)", text)
    assert found
    for line in found:
        arguments = parse_args([*line.split(), "--run", "runs/mine"])
        assert arguments.training_script == "revisage"
        assert arguments.training_script_args[-2:] == ["--run", "runs/mine"]
