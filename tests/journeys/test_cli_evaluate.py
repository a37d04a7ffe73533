"""``revisage evaluate``, as a user calls it."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch
from command import revisage

from revisage.models.checkpoint import Header, save_weights
from revisage.models.nets.restoration_unet import RestorationUNet


@pytest.fixture
def data(tmp_path):
    """Two faces of 64 pixels in two sets of degraded images, and a small restorer that changes nothing."""
    for seed, name in enumerate("ab"):
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        face = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
        for folder, side in (("gt", 64), ("lq/mild", 32), ("lq/severe", 8)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(tmp_path / "data" / folder / f"{name}.png"), small)
    arguments = {"widths": [4, 4], "blocks": [1, 1], "unshuffle": 2}
    state = {key: torch.zeros_like(value) for key, value in RestorationUNet(**arguments).state_dict().items()}
    save_weights(tmp_path / "model.safetensors", state, Header("RestorationUNet", arguments, 64))
    return tmp_path


def test_a_model_is_measured_on_every_set(data):
    done = revisage(
        "evaluate", "model.safetensors", "data", "--save-restored", "--device", "cpu", "--plots", "p", cwd=data
    )
    assert done.returncode == 0, done.stderr
    assert "lpips left out: needs --features and --channel-weights" in done.stdout
    assert "2 sets, 4 pairs; scores.json, scores.csv and image grids in evaluation/data" in done.stdout
    scores = json.loads((data / "evaluation" / "data" / "scores.json").read_text())
    for name in ("mild", "severe"):
        mean = scores["sets"][name]["mean"]
        assert mean["restored"]["psnr"] == pytest.approx(mean["input"]["psnr"], abs=0.01)
        assert (data / "evaluation" / "data" / "grids" / f"{name}.jpg").exists()
        assert (data / "evaluation" / "data" / "restored" / name / "b.png").exists()
        assert (data / "p" / f"{name}.png").exists()
    assert scores["sets"]["mild"]["mean"]["input"]["ssim"] > scores["sets"]["severe"]["mean"]["input"]["ssim"]
    assert len((data / "evaluation" / "data" / "scores.csv").read_text().splitlines()) == 1 + 2 * 2 * 3


@pytest.mark.parametrize("size", [48, 96])
def test_pairs_of_another_size_than_the_models_are_resized_and_it_says_so(data, size):
    for path in (data / "data" / "gt").iterdir():
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (size, size)))
    done = revisage("evaluate", "model.safetensors", "--gt", "data/gt", "--lq", "data/lq/mild", cwd=data)
    assert done.returncode == 0, done.stderr
    assert f"2 pairs resized: originals of {size} x {size} to 64, the size of model.safetensors" in done.stdout
    scores = json.loads((data / "evaluation" / "mild" / "scores.json").read_text())
    assert (scores["size"], scores["resized"]) == (64, 2)
    assert cv2.imread(str(data / "evaluation" / "mild" / "grids" / "mild.jpg")).shape == (128, 192, 3)


def test_restorations_of_another_tool_are_measured_without_a_model(data):
    done = revisage(
        "evaluate", "--restored", "data/gt", "--gt", "data/gt", "--metrics", "psnr,ssim", "-o", "out", cwd=data
    )
    assert done.returncode == 0, done.stderr
    ((name, found),) = json.loads((data / "out" / "scores.json").read_text())["sets"].items()
    assert name == "data"
    assert found["mean"] == {"restored": {"psnr": None, "ssim": 1.0}}
    assert found["undefined"] == {"restored": {"psnr": 2}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a MODEL"),
        (("embedded",), "give DATA"),
        (("embedded", "--gt", "data/gt"), "give DATA"),
        (("embedded", "data", "--fid", "data/gt"), "--inception"),
        (("embedded", "data", "--metrics", "pnsr"), "no metric 'pnsr'"),
        (("embedded", "nowhere"), "no folder of images at nowhere/gt"),
        (("embedded", "--restored", "data/gt", "--gt", "data/gt"), "not both"),
    ],
)
def test_a_wrong_call_is_one_line(data, arguments, message, capsys, monkeypatch):
    from revisage.cli import main

    monkeypatch.chdir(data)
    monkeypatch.setattr(sys, "argv", ["revisage", "evaluate", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_missing_partner_is_a_wrong_call_that_names_it(data):
    (data / "data" / "lq" / "mild" / "b.png").unlink()
    done = revisage("evaluate", "embedded", "data", cwd=data)
    assert done.returncode == 2
    assert done.stderr.startswith("error: data/gt/b.png has no partner in data/lq/mild")
    assert not (data / "evaluation").exists()
