"""What a run needs later is looked for before it starts, in a dry run too, and told all at once."""

import shutil
from collections import namedtuple

import cv2
import numpy as np
import pytest
import torch
import yaml

from revisage.errors import RecipeError, RevisageError
from revisage.training.loop import train
from revisage.training.plan import plan
from revisage.training.recipe import read_recipe

KINDS = pytest.mark.parametrize("dry_run", [False, True], ids=["train", "dry-run"])


@pytest.fixture
def folders(tmp_path):
    """Crops, and pairs to validate on."""
    generator = np.random.default_rng(0)
    for folder in ("crops", "gt", "lq"):
        (tmp_path / folder).mkdir()
        for name in "abc":
            small = generator.integers(0, 256, (8, 8, 3), np.uint8)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), cv2.resize(small, (64, 64)))
    return tmp_path


@pytest.fixture
def recipe_file(folders):
    task = {
        "kind": "restorer",
        "crops": [str(folders / "crops")],
        "size": 64,
        "patch": 32,
        "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
        "validation": {"own": {"gt": str(folders / "gt"), "lq": str(folders / "lq")}},
    }
    training = {"images": 8, "batch": 4, "workers": 0, "validate_every": 8}
    path = folders / "own.yml"
    path.write_text(yaml.safe_dump({"name": "own", "task": task, "training": training}))
    return path


def error_of(recipe_file, dry_run, *overrides):
    run = recipe_file.parent / "run"
    recipe = read_recipe(recipe_file, overrides)
    with pytest.raises(RevisageError) as caught:
        (plan if dry_run else train)(recipe, run)
    assert not run.exists()
    return str(caught.value)


@KINDS
def test_a_missing_validation_folder(recipe_file, dry_run):
    message = error_of(recipe_file, dry_run, "task.validation.own.lq=nowhere/lq")
    assert "task.validation.own.lq: nowhere/lq" in message


@KINDS
def test_a_missing_partner(recipe_file, folders, dry_run):
    (folders / "lq" / "b.png").unlink()
    assert "task.validation.own: " in (message := error_of(recipe_file, dry_run))
    assert "b.png has no partner" in message


@KINDS
def test_a_damaged_validation_image(recipe_file, folders, dry_run):
    (folders / "lq" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert "lq/b.png" in error_of(recipe_file, dry_run)


@KINDS
def test_a_metric_file_that_is_none(recipe_file, folders, dry_run):
    (folders / "vgg.npz").write_bytes(b"no arrays")
    assert "vgg.npz" in error_of(recipe_file, dry_run, f"task.metrics.features={folders / 'vgg.npz'}")


@KINDS
def test_images_too_small_for_a_metric(recipe_file, folders, dry_run):
    features = {"mu_pris_param": np.zeros((1, 36)), "cov_pris_param": np.eye(36), "gaussian_window": np.ones((7, 7))}
    np.savez(folders / "niqe.npz", **features)
    message = error_of(recipe_file, dry_run, f"task.metrics.niqe={folders / 'niqe.npz'}")
    assert "NIQE needs an image of at least 96 x 96" in message


@KINDS
@pytest.mark.parametrize(
    ("metric", "advice"), [("own/psrn", "did you mean own/psnr"), ("own/vgg_cosine", "there are own/psnr, own/ssim,")]
)
def test_a_best_metric_that_is_not_measured(recipe_file, dry_run, metric, advice):
    message = error_of(recipe_file, dry_run, f"training.best={{metric: {metric}}}")
    assert message.startswith(f"training.best: no metric '{metric}'; {advice}")


@KINDS
def test_landmarks_that_lack_a_face(recipe_file, folders, dry_run):
    entry = {"left_eye": [190.0, 240.0, 28.0], "right_eye": [320.0, 240.0, 28.0], "mouth": [256.0, 360.0, 42.0]}
    torch.save({"a": entry, "b": entry}, folders / "landmarks.pth")
    data = f"{{source: {folders / 'crops'}, landmarks: {folders / 'landmarks.pth'}}}"
    message = error_of(recipe_file, dry_run, "task.crops=[]", f"task.data={data}")
    assert "the landmarks file lacks 1 of 3 images, the first of them c" in message


@KINDS
def test_a_disk_without_room_for_the_state(recipe_file, dry_run, monkeypatch):
    usage = namedtuple("Usage", "total used free")(0, 0, 10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "has 0.00 GB free, the run needs" in error_of(recipe_file, dry_run)


@KINDS
@pytest.mark.parametrize("settings", ["factors: {'(': 2}", "muon: '('"])
def test_a_name_pattern_that_is_none(recipe_file, dry_run, settings):
    name = settings.partition(":")[0]
    message = error_of(recipe_file, dry_run, f"training.optimizer={{{settings}}}")
    assert f"training.optimizer.{name}: '(' is no regular expression" in message


@KINDS
def test_an_optimizer_for_no_network_and_a_batch_that_does_not_divide(recipe_file, dry_run):
    message = error_of(recipe_file, dry_run, "training.optimizers={critic: {}}", "training.accumulate=3")
    assert "no network critic; there are generator" in message
    assert "4 images do not divide into 1 processes x 3 micro-batches" in message


@KINDS
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.patch=33", "task.patch: the network needs a multiple of 4, not 33"),
        ("task.size=62", "task.size: the network needs a multiple of 4, not 62"),
        ("task.network.blocks=[1, 1, 1]", "the network RestorationUNet: widths and blocks describe the same levels"),
        (
            "task.network={type: GFPGANv1Clean, out_size: 32, num_style_feat: 8, narrow: 0.03125, num_mlp: 1}",
            "task.size: is 64, the network restores images of 32",
        ),
    ],
)
def test_sizes_that_do_not_fit_the_network(recipe_file, dry_run, override, message):
    """The size of whole faces would matter at the first validation only."""
    assert message in error_of(recipe_file, dry_run, override)


@KINDS
def test_all_that_is_wrong_is_in_one_message(recipe_file, folders, dry_run):
    (folders / "lq" / "b.png").unlink()
    (folders / "vgg.npz").write_bytes(b"no arrays")
    message = error_of(
        recipe_file,
        dry_run,
        "task.validation.other={gt: nowhere/gt, lq: nowhere/lq}",
        f"task.metrics.features={folders / 'vgg.npz'}",
        "task.initial_weights=none.pth",
        "training.best.metric=own/beauty",
        "training.accumulate=3",
    )
    for part in (
        *("nowhere/gt", "nowhere/lq", "task.initial_weights: none.pth", "own/beauty", "do not divide"),
        *("b.png has no partner", "vgg.npz"),
    ):
        assert message.count(part) == 1, message


def test_a_dry_run_says_that_the_folder_has_the_state_of_another_recipe(recipe_file, folders):
    train(read_recipe(recipe_file), folders / "run")
    with pytest.raises(RevisageError, match=r"training\.batch was 4, is 2"):
        plan(read_recipe(recipe_file, ["training.batch=2"]), folders / "run")
    plan(read_recipe(recipe_file, ["training.validate_every=3"]), folders / "run")


def test_a_pattern_is_a_place_of_crops(recipe_file, folders):
    recipe = read_recipe(recipe_file, [f"task.crops=['{folders}/crops/[ab].png']"])
    assert len(recipe.build().dataset) == 2
    with pytest.raises(RecipeError, match=r"task\.crops: .*x\*\.png"):
        read_recipe(recipe_file, [f"task.crops=['{folders}/crops/x*.png']"]).build()


def test_weights_of_channels_without_their_network(recipe_file):
    with pytest.raises(RecipeError, match=r"task\.metrics: channel_weights are of the features .*: give features"):
        read_recipe(recipe_file, ["task.metrics.channel_weights=lpips.pth"])
