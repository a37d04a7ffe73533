"""Two processes under torchrun against one process: the same game with the same pictures ends with the same weights."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import yaml

from revisage.errors import RecipeError
from revisage.train.distributed import World
from revisage.train.loop import train
from revisage.train.recipe import read_recipe

SCRIPT = """
import sys
from pathlib import Path
import torch
from revisage.train.loop import train
from revisage.train.recipe import read_recipe
torch.set_num_threads(1)
train(read_recipe(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2]))
"""


@pytest.fixture
def recipe_file(tmp_path):
    (tmp_path / "crops").mkdir()
    generator = np.random.default_rng(0)
    for name in "abcde":
        small = generator.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "crops" / f"{name}.png"), cv2.resize(small, (64, 64), interpolation=cv2.INTER_CUBIC))
    pairs = {"gt": str(tmp_path / "crops"), "lq": str(tmp_path / "crops"), "limit": 5}
    content = {
        "name": "game",
        "task": {
            "kind": "restorer",
            "crops": [str(tmp_path / "crops")],
            "size": 64,
            "patch": 32,
            "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
            "losses": {
                "pixel": {},
                "adversarial": {
                    "weight": 0.5,
                    "discriminator": {"type": "StyleGAN2Discriminator", "out_size": 32, "narrow": 0.03125},
                    "r1_every": 2,
                },
            },
            "validation": {"same": pairs},
        },
        "training": {
            "images": 64, "batch": 8, "workers": 0, "schedule": {"kind": "constant", "warmup": 0},
            "validate_every": 64, "save_every": 64,
        },
    }  # fmt: skip
    path = tmp_path / "game.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def two_processes(recipe_file, run, *settings):
    script = run.parent / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    result = subprocess.run([*command, recipe_file, run, *settings], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]


def state(run):
    return torch.load(run / "state.pt", weights_only=True)


def metrics(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["validation"]


@pytest.fixture
def both(recipe_file, tmp_path):
    two_processes(recipe_file, tmp_path / "two")
    return tmp_path / "two", recipe_file


def test_two_processes_learn_what_one_does(both, tmp_path):
    two, recipe_file = both
    train(read_recipe(recipe_file), tmp_path / "one")
    for player in ("generator", "discriminator"):
        mine, theirs = (state(run)["players"][player] for run in (tmp_path / "one", two))
        for key, value in mine.items():
            torch.testing.assert_close(theirs[key], value, rtol=2e-4, atol=2e-5, msg=f"{player} {key}")
    for figure, value in metrics(tmp_path / "one").items():
        assert metrics(two)[figure] == pytest.approx(value, abs=2e-3)
    # In parts: the same sums in the same order, so all but the last bits agree.
    train(read_recipe(recipe_file, ["training.accumulate=2"]), tmp_path / "parts")
    for player in ("generator", "discriminator"):
        mine, theirs = (state(run)["players"][player] for run in (tmp_path / "parts", two))
        for key, value in mine.items():
            torch.testing.assert_close(theirs[key], value, rtol=1e-5, atol=1e-6, msg=f"{player} {key}")


def test_a_batch_that_does_not_divide_is_refused(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match="8 images do not divide into 1 processes x 3 parts"):
        train(read_recipe(recipe_file, ["training.accumulate=3"]), tmp_path / "run")


def test_the_shares_of_all_processes_are_the_whole():
    shares = [list(World(rank, 3).share(10)) for rank in range(3)]
    assert sorted(place for share in shares for place in share) == list(range(10))
