"""The Python that pages show runs as it stands."""

import re

import pytest

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
