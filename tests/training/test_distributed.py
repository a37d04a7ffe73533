"""Two processes under torchrun against one process: the same game with the same images ends with the same weights."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import yaml

from revisage.errors import RecipeError
from revisage.training.distributed import Interruption, World
from revisage.training.loop import train
from revisage.training.recipe import read_recipe

SCRIPT = """
import sys
from pathlib import Path
import torch
from revisage.training.loop import train
from revisage.training.recipe import read_recipe
torch.set_num_threads(1)
train(read_recipe(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2]))
threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in threads if "gloo" in name], threads  # one that is left may abort the process at its end
"""

LEAVING = """
import json, os, signal, sys, time
from pathlib import Path
import torch
from revisage.training import loop
from revisage.training.recipe import read_recipe
from revisage.training.run_folder import RunFolder
torch.set_num_threads(1)
rank, run, (stop_at, *settings) = int(os.environ["RANK"]), Path(sys.argv[2]), sys.argv[3:]
step, save, begun = loop.step, RunFolder.save, []

def stopped(task, state, *others):
    terms = step(task, state, *others)
    begun.append(state.images)
    if rank == 1 and state.images == int(stop_at):
        os.kill(os.getpid(), signal.SIGTERM)
    return terms

def slow(folder):
    time.sleep(1 if rank == 0 else 0)
    save(folder)

loop.step, RunFolder.save = stopped, slow
try:
    loop.train(read_recipe(Path(sys.argv[1]), settings), run)
except BaseException as error:
    saved = torch.load(run / "state.pt", weights_only=True)["images"] if (run / "state.pt").exists() else None
    left = {"error": type(error).__name__, "message": str(error), "begun": begun, "saved": saved}
    (run.parent / f"left{rank}.json").write_text(json.dumps(left))
    sys.exit(1)
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


def two_processes(recipe_file, run, *settings, script=SCRIPT, code=0):
    path = run.parent / "script.py"
    path.write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(path)]
    result = subprocess.run([*command, recipe_file, run, *settings], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, result.stderr[-2000:]


def two_that_leave(recipe_file, run, stop_at, *settings):
    """How each of two processes left: its error, the steps that it began, and the count of the state saved by then."""
    two_processes(recipe_file, run, stop_at, "task.validation={}", *settings, script=LEAVING, code=1)
    return [json.loads((run.parent / f"left{rank}.json").read_text()) for rank in range(2)]


def state(run):
    return torch.load(run / "state.pt", weights_only=True)


def metrics(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["validation"]


def difference(run, other, recipe):
    """How far two runs ended from each other, as a share of the way that the first one went; the worst network's."""
    torch.manual_seed(recipe.seed)
    start = {name: network.state_dict() for name, network in recipe.task.build(recipe.seed).networks.items()}
    shares = []
    for network, first in state(run)["networks"].items():
        second = state(other)["networks"][network]
        gap, way = (
            torch.cat([(a[key] - b[key]).flatten() for key in first]).norm()
            for a, b in ((first, second), (first, start[network]))
        )
        shares.append(float(gap / way))
    return max(shares)


def test_two_processes_learn_what_one_does(recipe_file, tmp_path):
    recipe = read_recipe(recipe_file)
    one, two, parts = tmp_path / "one", tmp_path / "two", tmp_path / "parts"
    two_processes(recipe_file, two)
    train(recipe, one)
    # Adam makes steps of one size from gradients of any size, so where they nearly cancel rounding decides.
    assert difference(one, two, recipe) < 0.02
    for figure, value in metrics(one).items():
        assert metrics(two)[figure] == pytest.approx(value, abs=0.01, nan_ok=True)
    # In two parts one process makes the same sums as two processes.
    train(read_recipe(recipe_file, ["training.accumulate=2"]), parts)
    assert difference(parts, two, recipe) < 1e-4


def test_two_processes_share_the_matrices_that_muon_updates(recipe_file, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    # Of the generator alone: of the discriminators' regularisation in parts, rounding changes more.
    settings = "training.optimizers={generator: {muon: encoder|decoder|down|up}}", "task.validation={}"
    two_processes(recipe_file, two, *settings)
    recipe = read_recipe(recipe_file, list(settings))
    train(recipe, one)
    assert difference(one, two, recipe) < 0.02


def test_another_batch_is_far_off_by_the_same_measure(recipe_file, tmp_path):
    train(read_recipe(recipe_file), tmp_path / "one")
    train(read_recipe(recipe_file, ["training.batch=4", "training.images=32"]), tmp_path / "half")
    assert difference(tmp_path / "one", tmp_path / "half", read_recipe(recipe_file)) > 0.2


def test_a_batch_that_does_not_divide_is_refused(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match="8 images do not divide into 1 processes x 3 micro-batches"):
        train(read_recipe(recipe_file, ["training.accumulate=3"]), tmp_path / "run")


def test_the_shares_of_all_processes_are_the_whole():
    shares = [list(World(rank, 3).shard(10)) for rank in range(3)]
    assert sorted(place for share in shares for place in share) == list(range(10))


def test_a_damaged_image_of_one_process_ends_both_with_its_name_and_the_state_saved(recipe_file, tmp_path):
    order = np.random.default_rng((0, 0)).permutation(5)  # of the first epoch, with seed 0
    damaged = tmp_path / "crops" / f"{'abcde'[order[3]]}.png"  # the second process takes every second image
    damaged.write_bytes(damaged.read_bytes()[:300])
    faces = ["task.crops=[]", f"task.data={{source: {tmp_path / 'crops'}}}", "task.losses={pixel: {}}"]  # read when due
    left = two_that_leave(recipe_file, tmp_path / "run", "-1", "training.batch=2", *faces)
    message = f"{damaged} is not a readable image"
    assert left == [{"error": "RecipeError", "message": message, "begun": [0], "saved": 2}] * 2


def test_a_stop_that_one_process_is_asked_for_ends_both_after_the_same_step(recipe_file, tmp_path):
    left = two_that_leave(recipe_file, tmp_path / "run", "8")
    assert left == [{"error": "KeyboardInterrupt", "message": "", "begun": [0, 8], "saved": 16}] * 2


def test_an_error_that_other_processes_may_not_know_reaches_them_as_its_text(monkeypatch):
    class OwnError(Exception):
        pass

    def items():
        yield 1
        raise OwnError("broken pipe")

    sent = []
    monkeypatch.setattr(World, "any", lambda _, flag: flag)
    monkeypatch.setattr(World, "gather", lambda _, errors: sent.extend(errors) or errors)
    with Interruption(World(1, 2)) as interruption, pytest.raises(OwnError):
        list(interruption.together(items()))
    assert [repr(error) for error in sent] == [repr(RuntimeError("OwnError('broken pipe')"))]


def test_weights_in_any_order_of_memory_are_sent_contiguous(monkeypatch):
    def send(tensor, _):
        assert tensor.is_contiguous()
        tensor.fill_(2)

    monkeypatch.setattr(torch.distributed, "broadcast", send)
    network = torch.nn.ParameterDict({"a": torch.randn(3, 4, 5, 5), "b": torch.randn(1, 3, 4, 5, 5)})
    for name, weight in network.items():
        weight.data = weight.data.transpose(-1, -3)
        assert not weight.is_contiguous(), name
    World(1, 2).broadcast_from_rank0(network)
    assert all((weight == 2).all() for weight in network.values())
