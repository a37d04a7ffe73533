"""The example scripts do what their first line says."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest

import revisage
from locations import ROOT
from revisage.images.pixels import from_nchw, to_float, to_nchw
from revisage.models.backends import open_network
from revisage.models.fetch import path_of

EXAMPLES = ROOT / "examples"
PORTRAIT = ROOT / "tests" / "data" / "astronaut.jpg"


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A small photo that holds hardly more than a face."""
    path = tmp_path_factory.mktemp("photos") / "head.jpg"
    revisage.write_image(path, revisage.read_image(PORTRAIT)[20:220, 125:325][::2, ::2])
    return path


@pytest.fixture
def run(monkeypatch):
    def run_example(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run_example


def test_restore_photo(run, head, tmp_path, capsys):
    run("restore_photo.py", head, tmp_path / "out.jpg")
    assert "restored" in capsys.readouterr().out
    assert revisage.read_image(tmp_path / "out.jpg").shape == (200, 200, 3)


def test_threads(run, head, tmp_path):
    again = tmp_path / "again.jpg"
    again.write_bytes(head.read_bytes())
    run("threads.py", tmp_path / "out", head, again)
    one, two = (revisage.read_image(tmp_path / "out" / name) for name in ("head.jpg", "again.jpg"))
    assert np.array_equal(one, two)


def test_detect_faces(run, head, tmp_path):
    run("detect_faces.py", head.parent, tmp_path / "faces.json")
    (face,) = json.loads((tmp_path / "faces.json").read_text())[head.name]
    assert len(face["landmarks"]) == 5


def test_score_detections(run, tmp_path, capsys):
    face = {"box": [10, 10, 50, 60], "landmarks": [[20, 25], [40, 25], [30, 35], [22, 45], [38, 45]]}
    (tmp_path / "truth.json").write_text(json.dumps({"a.jpg": {"faces": [face]}, "b.jpg": {"faces": [face]}}))
    (tmp_path / "faces.json").write_text(json.dumps({"a.jpg": [face]}))
    run("score_detections.py", tmp_path / "truth.json", tmp_path / "faces.json")
    assert "recall               0.5000" in capsys.readouterr().out


def test_identity_figures(run, head, tmp_path, capsys):
    """Of two images that stand for two people, and of the same two darker."""
    face = revisage.read_image(head)
    for folder, factor in (("gt", 1), ("lq", 0.8)):
        for name, image in (("a.png", face), ("b.png", face[::-1])):
            revisage.write_image(tmp_path / folder / name, (image * factor).astype(np.uint8))
    run("identity_figures.py", tmp_path / "gt", tmp_path / "lq")
    assert "ROC area        1.0000" in capsys.readouterr().out


@pytest.mark.slow
def test_video_flicker(run, capsys):
    run("video_flicker.py", PORTRAIT, 12, 60)
    degraded, separate, video = (line.split() for line in capsys.readouterr().out.splitlines())
    at = video.index("flicker") + 1
    assert float(video[at]) < 0.6 * float(separate[at + 2])
    assert float(video[at]) < float(degraded[at])
    assert float(video[at + 2]) > float(separate[at + 4])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_cost(run, capfd):
    run("loading_cost.py", 32, 0.125)
    lines = capfd.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["w.pth", "w.safetensors"]
    assert all(float(line.split()[-4]) < 3 for line in lines)  # of a small file; of a large one hardly above 1


def test_the_photo_is_made_as_its_readme_says(run, tmp_path):
    run("make_photo.py", PORTRAIT, tmp_path / "photo.jpg")
    made, shipped = (revisage.read_image(path).astype(int) for path in (tmp_path / "photo.jpg", EXAMPLES / "photo.jpg"))
    assert made.shape == shipped.shape == (400, 400, 3)
    assert np.abs(made - shipped).mean() < 1  # decoders differ by a level between versions


def test_onnxruntime_only(tmp_path):
    """In a process where neither revisage nor torch can be imported; the photo is a face of the network's size."""
    code = (
        "import sys, runpy; sys.modules.update(revisage=None, torch=None); sys.argv.pop(0);"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    model = path_of("embedded")
    command = [sys.executable, "-c", code, EXAMPLES / "onnxruntime_only.py", model, PORTRAIT, tmp_path / "out.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CoarseToFineUNet, ")
    face = to_float(revisage.read_image(PORTRAIT))
    expected = from_nchw(open_network(model, "cpu")(to_nchw([face]))[0])[0]
    assert np.abs(revisage.read_image(tmp_path / "out.png") - expected * 255).max() < 1.01


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_listed(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40
    assert f"({path.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
