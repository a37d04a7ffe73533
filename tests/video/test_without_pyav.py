"""Videos where PyAV is not installed."""

import subprocess
import sys

import pytest

from revisage.cli.restore_files import require_pyav
from revisage.errors import InputError
from revisage.jobs.collector import Kind, collect

IMPORT_WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
from revisage.errors import InputError
try:
    import revisage.video.restore
except InputError as error:
    print(error)
"""


def test_importing_what_restores_videos_is_one_line_that_says_what_to_install():
    command = [sys.executable, "-c", IMPORT_WITHOUT_PYAV]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "videos need PyAV: pip install 'revisage[video]'\n"


def test_a_video_on_the_command_line_is_named_and_photos_need_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for name in ("a.png", "a.mp4"):
        (tmp_path / name).touch()
    require_pyav(collect([tmp_path / "a.png"]))
    require_pyav(collect([tmp_path], tuple(Kind)))  # in folders the others are restored
    with pytest.raises(InputError, match=r"a\.mp4 is a video; videos need PyAV: pip install 'revisage\[video\]'$"):
        require_pyav(collect([tmp_path / "a.png", tmp_path / "a.mp4"]))
