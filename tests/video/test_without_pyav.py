"""Films where PyAV is not installed."""

import subprocess
import sys

import pytest

from revisage.cli.video import films_of
from revisage.errors import InputError

IMPORT_WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
from revisage.errors import InputError
try:
    import revisage.video.restore
except InputError as error:
    print(error)
"""


def test_importing_what_restores_films_is_one_line_that_says_what_to_install():
    command = [sys.executable, "-c", IMPORT_WITHOUT_PYAV]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "films need PyAV: pip install 'revisage[video]'\n"


def test_a_film_on_the_command_line_is_named_and_photos_need_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for name in ("a.png", "a.mp4"):
        (tmp_path / name).touch()
    assert films_of([str(tmp_path / "a.png")]) == []
    with pytest.raises(InputError, match=r"a\.mp4 is a film; films need PyAV: pip install 'revisage\[video\]'$"):
        films_of([str(tmp_path / "a.png"), str(tmp_path / "a.mp4")])
