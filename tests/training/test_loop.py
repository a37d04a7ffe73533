import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from revisage.errors import OutputError, RecipeError, TrainingError
from revisage.models.checkpoint import read_weights
from revisage.training.config import ScheduleConfig
from revisage.training.distributed import Interruption, World
from revisage.training.loop import train
from revisage.training.recipe import read_recipe
from revisage.training.state import EMA


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops")
    generator = np.random.default_rng(0)
    for name in "abcdef":
        small = generator.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), cv2.resize(small, (64, 64), interpolation=cv2.INTER_CUBIC))
    return folder


GAME = "task.losses={pixel: {}, adversarial: {r1: 1, r1_every: 2, discriminator: {type: PatchDiscriminator, width: 4}}}"


def write_recipe(folder, crops):
    content = {
        "name": "tiny",
        "task": {
            "kind": "restorer",
            "crops": [str(crops)],
            "size": 64,
            "patch": 32,
            "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
            "validation": {"same": {"gt": str(crops), "lq": str(crops), "limit": 2}},
        },
        "training": {
            "images": 16,
            "batch": 4,
            "workers": 0,
            "schedule": {"warmup": 4},
            "validate_every": 8,
            "save_every": 4,
        },
    }
    path = folder / "tiny.yml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def recipe_file(tmp_path, crops):
    return write_recipe(tmp_path, crops)


def weights(run):
    return read_weights(run / "model.safetensors")[0]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def whole(crops, tmp_path_factory):
    """A run of the recipe as it is, to be read or copied."""
    folder = tmp_path_factory.mktemp("whole")
    run = folder / "run"
    assert train(read_recipe(write_recipe(folder, crops)), run) == run / "model.safetensors"
    return run


@pytest.fixture
def run(whole, tmp_path):
    """A copy of that run."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture(scope="module")
def game(crops, tmp_path_factory):
    """A run with a discriminator, to be read."""
    folder = tmp_path_factory.mktemp("game")
    train(read_recipe(write_recipe(folder, crops), [GAME]), folder / "run")
    return folder / "run"


def test_a_run_leaves_weights_log_grids_and_recipe(whole):
    run = whole
    _, header = read_weights(run / "model.safetensors")
    assert (header.architecture, header.notes["images"], header.size) == ("RestorationUNet", 16, 64)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["images"] for record in records if "validation" in record] == [8, 16]
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["00000008.jpg", "00000016.jpg"]
    assert json.loads((run / "recipe.json").read_text())["name"] == "tiny"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(recipe_file, tmp_path, workers):
    train(read_recipe(recipe_file, ["training.schedule.warmup=100"]), tmp_path / "whole")
    half = ["training.schedule.warmup=100", f"training.workers={workers}"]  # constant schedule: only the stop differs
    train(read_recipe(recipe_file, [*half, "training.images=8"]), tmp_path / "parts")
    train(read_recipe(recipe_file, half), tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def states(run):
    return torch.load(run / "state.pt", weights_only=True)


def test_a_game_resumes_bit_for_bit_with_all_its_networks(recipe_file, tmp_path):
    settings = [GAME, "training.schedule.warmup=100", "training.precision=bfloat16", "training.workers=2"]
    train(read_recipe(recipe_file, settings), tmp_path / "whole")
    for images in (8, 16):
        train(read_recipe(recipe_file, [*settings, f"training.images={images}"]), tmp_path / "parts")
    whole, parts = states(tmp_path / "whole"), states(tmp_path / "parts")
    assert set(whole["networks"]) == {"generator", "discriminator"}
    for network, state in whole["networks"].items():
        assert same(state, parts["networks"][network])
    assert same(whole["ema"], parts["ema"])


def test_a_full_disk_is_named_and_the_earlier_state_stays(recipe_file, run, monkeypatch):
    before = (run / "state.pt").read_bytes()

    def fail(content, path):
        path.write_bytes(b"half a state")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OutputError, match=r"state\.pt: the disk is full"):
        train(read_recipe(recipe_file, ["training.images=24"]), run)
    assert (run / "state.pt").read_bytes() == before
    assert not list(run.glob(".state*"))


def test_the_best_weights_are_kept_apart(recipe_file, tmp_path):
    run = tmp_path / "run"
    best = "training.best={metric: same/psnr, better: higher}"
    train(read_recipe(recipe_file, [best]), run)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = {r["images"]: r["validation"]["same/psnr"] for r in records if "validation" in r}
    assert read_weights(run / "best.safetensors")[1].notes["images"] == max(metrics, key=metrics.__getitem__)


def test_the_best_by_a_metric_that_is_not_measured_is_refused(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match="no metric 'beauty'; there are same/psnr"):
        train(read_recipe(recipe_file, ["training.best={metric: beauty}"]), tmp_path / "run")


def test_parts_of_a_batch_add_up_to_the_batch(recipe_file, whole, tmp_path):
    train(read_recipe(recipe_file, ["training.accumulate=4"]), tmp_path / "parts")
    parts = weights(tmp_path / "parts")
    for key, value in weights(whole).items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=1e-5)


def test_an_optimizer_for_nobody_is_refused(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match="no network critic; there are generator"):
        train(read_recipe(recipe_file, ["training.optimizers={critic: {learning_rate: 1.0}}"]), tmp_path / "run")


def test_figures_go_to_tensorboard_on_request(recipe_file, tmp_path):
    pytest.importorskip("tensorboard")
    train(read_recipe(recipe_file, ["training.tensorboard=true"]), tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_float16_scales_the_losses_and_learns(recipe_file, game, tmp_path):
    train(read_recipe(recipe_file, [GAME, "training.precision=float16"]), tmp_path / "half")
    assert states(tmp_path / "half")["scalers"]["generator"]["scale"] > 1
    half = weights(tmp_path / "half")
    for key, value in weights(game).items():
        torch.testing.assert_close(half[key], value, rtol=0, atol=2e-3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_the_same(recipe_file, tmp_path):
    for name in ("true", "false"):
        train(read_recipe(recipe_file, [GAME, f"training.compile={name}"]), tmp_path / name)
    for key, value in weights(tmp_path / "false").items():
        torch.testing.assert_close(weights(tmp_path / "true")[key], value, rtol=0, atol=2e-3)


def test_a_run_killed_at_any_moment_goes_on_from_its_last_state(recipe_file, tmp_path):
    recipe = ["training.images=4000", "training.schedule.warmup=1e9", "training.workers=1"]
    script = (
        "import sys; from pathlib import Path; from revisage.training.loop import train;"
        "from revisage.training.recipe import read_recipe;"
        f"train(read_recipe(Path(sys.argv[1]), {recipe!r}), Path(sys.argv[2]))"
    )
    run = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", script, str(recipe_file), str(run)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 600
    while not (run / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    seen = torch.load(run / "state.pt", weights_only=True)["images"]
    end = [*recipe[1:], f"training.images={seen + 8}"]
    train(read_recipe(recipe_file, end), run)
    train(read_recipe(recipe_file, end), tmp_path / "whole")
    assert same(weights(run), weights(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_step_and_saves_before_it_leaves(recipe_file, game, tmp_path, monkeypatch, number):
    from revisage.training import loop

    whole_step = loop.step

    def interrupted_step(task, state, *others):
        found = whole_step(task, state, *others)
        if state.images == 8:
            os.kill(os.getpid(), number)
        return found

    settings = [GAME, "training.save_every=1000"]
    monkeypatch.setattr(loop, "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        train(read_recipe(recipe_file, settings), tmp_path / "run")
    assert states(tmp_path / "run")["images"] == 12
    monkeypatch.undo()
    train(read_recipe(recipe_file, settings), tmp_path / "run")
    assert same(weights(tmp_path / "run"), weights(game))


def test_a_second_interrupt_does_not_wait():
    with Interruption(World()) as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_state_from_another_recipe_is_refused_with_the_differences(recipe_file, run):
    with pytest.raises(TrainingError, match=r"task.patch was 32, is 16.*training.batch was 4, is 2"):
        train(read_recipe(recipe_file, ["task.patch=16", "training.batch=2"]), run)


def test_a_longer_run_may_go_on(recipe_file, run):
    train(read_recipe(recipe_file, ["training.images=24"]), run)
    assert read_weights(run / "model.safetensors")[1].notes["images"] == 24


def test_a_damaged_state_is_refused(recipe_file, run):
    whole = (run / "state.pt").read_bytes()
    (run / "state.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="not a whole training state"):
        train(read_recipe(recipe_file), run)


def test_training_makes_blurred_images_better(recipe_file, tmp_path, crops):
    (tmp_path / "lq").mkdir()
    for path in crops.iterdir():
        cv2.imwrite(str(tmp_path / "lq" / path.name), cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 2))
    settings = [
        "training.images=400",
        "training.validate_every=400",
        "training.optimizer.learning_rate=4e-3",
        "task.degradation=[[{step: blur, sigma: [2, 2], isotropic: 1}]]",
        f"task.validation.same.lq={tmp_path / 'lq'}",
    ]
    train(read_recipe(recipe_file, settings), tmp_path / "run")
    found = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["validation"]
    assert found["same/psnr"] > found["same/input_psnr"] + 1


def test_the_rate_rises_then_falls():
    schedule = ScheduleConfig(warmup=100, final=0.1)
    rates = [schedule.factor(images, 10, 1000) for images in range(0, 1001, 10)]
    assert rates[0] == pytest.approx(10 / 110)
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)


def test_the_average_halves_an_old_weight_in_its_half_life():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(network.weight)
    average = EMA(network, half_life=100)
    torch.nn.init.zeros_(network.weight)
    for _ in range(10):
        average.update(network, batch=10, images=10**6)
    assert float(average.network.weight) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.imags=3", "unknown key 'imags'; did you mean images?"),
        ("task.network.width=[1]", "unknown key 'width'; did you mean widths?"),
        ("training.batch=0", "training.batch: should be greater than 0, not the number 0"),
        ("task.kind=chess", "task.kind: unknown 'chess'; known: restorer"),
        ("training.batch", "--set takes a.b=value"),
        ("name.first=x", "name is a value"),
    ],
)
def test_a_wrong_setting_is_named(recipe_file, override, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(recipe_file, [override])


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"none.yml"):
        read_recipe(tmp_path / "none.yml")


def test_a_recipe_that_is_not_yaml_is_named(tmp_path):
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(RecipeError, match=r"bad.yml is not YAML"):
        read_recipe(tmp_path / "bad.yml")


def test_a_perceptual_loss_without_its_network_is_refused(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match=r"task.losses.perceptual.file: .*none.npz"):
        train(read_recipe(recipe_file, ["task.losses={perceptual: {network: vgg16, file: none.npz}}"]), tmp_path / "r")


@pytest.mark.parametrize("name", sorted(path.stem for path in Path("recipes").glob("*.yml")))
def test_every_recipe_of_the_project_is_valid(name):
    assert read_recipe(Path("recipes") / f"{name}.yml").name == name
