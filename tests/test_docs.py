"""The Python that pages show runs as it stands."""

import re

import pytest

from locations import EXAMPLES, ROOT


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(EXAMPLES, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile("\n".join(blocks), page, "exec"), {})
    assert (tmp_path / "restored.jpg").stat().st_size > 0
