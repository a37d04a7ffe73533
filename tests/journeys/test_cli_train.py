import subprocess
import time

import cv2
import numpy as np
import pytest
import yaml
from command import COMMAND, revisage


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "crops").mkdir()
    for name in "ab":
        small = np.random.default_rng(ord(name)).integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "crops" / f"{name}.png"), cv2.resize(small, (64, 64)))
    content = {
        "name": "journey",
        "task": {
            "kind": "restorer",
            "crops": [str(tmp_path / "crops")],
            "size": 64,
            "patch": 32,
            "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
        },
        "training": {"images": 8, "batch": 4, "workers": 0, "weights": "float16"},
    }
    (tmp_path / "journey.yml").write_text(yaml.safe_dump(content))
    return tmp_path / "journey.yml"


def test_a_recipe_becomes_weights_that_restore(recipe, tmp_path):
    trained = revisage("train", recipe, "--device", "cpu", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    weights = tmp_path / "runs" / "journey" / "model.safetensors"
    assert str(weights.relative_to(tmp_path)) in trained.stdout
    photo = tmp_path / "crops" / "a.png"
    restored = revisage("restore", photo, "-o", "out", "--aligned", "--model", weights, cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    assert cv2.imread(str(tmp_path / "out" / "a.png")).shape == (64, 64, 3)


def test_a_wrong_key_is_a_wrong_call_that_names_the_right_one(recipe, tmp_path):
    result = revisage("train", recipe, "--set", "training.bach=2", cwd=tmp_path)
    assert result.returncode == 2
    assert "did you mean batch?" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_missing_recipe_is_named(tmp_path):
    result = revisage("train", "none.yml", cwd=tmp_path)
    assert result.returncode == 2
    assert "none.yml" in result.stderr


def test_a_dry_run_shows_the_plan_and_trains_nothing(recipe, tmp_path):
    result = revisage("train", recipe, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "schedule:" in result.stdout  # defaults are filled in
    assert "generator: 0.01 million parameters" in result.stdout
    assert "memory: about" in result.stdout
    folder = tmp_path / "runs" / "journey"
    assert [path.name for path in folder.iterdir()] == ["first_batch.png"]
    assert cv2.imread(str(folder / "first_batch.png")).shape == (64, 128, 3)


def test_a_run_that_is_told_to_end_saves_its_state_first(recipe, tmp_path):
    long = ["--set", "training.images=100000", "--set", "training.save_every=100000"]
    command = [*COMMAND, "train", str(recipe), "--device", "cpu", *long]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    written = tmp_path / "runs" / "journey" / "recipe.json"
    deadline = time.monotonic() + 600
    while not written.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=600)
    assert process.returncode == 130
    assert (tmp_path / "runs" / "journey" / "state.pt").exists()
