"""Whatever ends a run, its state is left behind; and a run resumes under settings that do not touch the weights."""

import os
import shutil
import signal

import cv2
import numpy as np
import pytest
import torch
import yaml

from revisage.errors import RecipeError, TrainingError
from revisage.models.checkpoint import read_weights
from revisage.training import loop
from revisage.training import step as steps
from revisage.training.identity import compare, identify
from revisage.training.loop import train
from revisage.training.recipe import Recipe, read_recipe
from revisage.training.tasks.restorer import RestorerTask


def write_faces(folder):
    generator = np.random.default_rng(0)
    for name in ("crops", "lq"):
        (folder / name).mkdir()
    for name in "abcdef":
        face = cv2.resize(generator.integers(0, 256, (8, 8, 3), np.uint8), (64, 64))
        cv2.imwrite(str(folder / "crops" / f"{name}.png"), face)
        cv2.imwrite(str(folder / "lq" / f"{name}.png"), cv2.GaussianBlur(face, (0, 0), 2))


def write_recipe(folder):
    """A recipe that trains on the faces of a folder."""
    crops = str(folder / "crops")
    task = {
        "kind": "restorer",
        "data": {"source": crops},
        "size": 64,
        "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
        "losses": {"pixel": {}, "adversarial": {"discriminator": {"type": "PatchDiscriminator", "width": 4}}},
        "validation": {"same": {"gt": crops, "lq": str(folder / "lq"), "limit": 1}},
    }
    training = {
        "images": 12, "batch": 2, "workers": 0, "validate_every": 6, "save_every": 1000, "schedule": {"warmup": 1e9},
    }  # fmt: skip
    path = folder / "own.yml"
    path.write_text(yaml.safe_dump({"name": "own", "task": task, "training": training}))
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Faces and recipe for all tests that leave them as they are."""
    folder = tmp_path_factory.mktemp("shared")
    write_faces(folder)
    write_recipe(folder)
    return folder


@pytest.fixture(scope="module")
def whole(shared):
    """A run that nothing interrupted."""
    train(read_recipe(shared / "own.yml"), shared / "whole")
    return shared / "whole"


@pytest.fixture(scope="module")
def begun(shared):
    """A run of four images, to be copied."""
    train(read_recipe(shared / "own.yml", ["training.images=4"]), shared / "begun")
    return shared / "begun"


@pytest.fixture
def folders(tmp_path):
    """Faces of the test's own, and room for its runs."""
    write_faces(tmp_path)
    return tmp_path


@pytest.fixture
def recipe_file(folders):
    return write_recipe(folders)


def state(run):
    return torch.load(run / "state.pt", weights_only=True)


def same_weights(first, second):
    states = [state(run)["networks"] for run in (first, second)]
    return all(torch.equal(states[0][name][key], states[1][name][key]) for name in states[0] for key in states[0][name])


def fail_at(monkeypatch, images, error, name="generator"):
    """Let the update of a network fail in the step that begins after so many images."""
    update = steps._update

    def failing(state, network, *others):
        if state.images == images and network == name:
            raise error
        return update(state, network, *others)

    monkeypatch.setattr(steps, "_update", failing)


def test_the_state_is_saved_before_a_validation_and_the_validation_is_made_up_for(recipe_file, folders, monkeypatch):
    whole, run = folders / "whole", folders / "run"
    best = ["training.best.metric=same/psnr"]
    train(read_recipe(recipe_file, best), whole)
    validate = RestorerTask.validate

    def fail(*_):
        raise ValueError("no validation today")

    monkeypatch.setattr(RestorerTask, "validate", fail)
    with pytest.raises(ValueError, match="today"):
        train(read_recipe(recipe_file, best), run)
    assert state(run)["images"] == 6
    monkeypatch.setattr(RestorerTask, "validate", validate)
    train(read_recipe(recipe_file, best), run)
    assert same_weights(run, whole)
    lines = [line for line in (run / "metrics.jsonl").read_text().splitlines() if "validation" in line]
    assert len(lines) == 2
    notes = [read_weights(folder / "best.safetensors")[1].notes["images"] for folder in (run, whole)]
    assert notes[0] == notes[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_own_error_in_a_worker_is_the_line_that_no_workers_give(recipe_file, folders, workers):
    whole, run = folders / "whole", folders / "run"
    settings = ["training.images=6", "training.batch=1", f"training.workers={workers}"]
    train(read_recipe(recipe_file, settings), whole)
    order = np.random.default_rng((0, 0)).permutation(6)  # of the first epoch, with seed 0
    damaged = folders / "crops" / f"{'abcdef'[order[3]]}.png"
    intact = damaged.read_bytes()
    damaged.write_bytes(intact[:300])
    settings += ["task.validation={}"]
    with pytest.raises(RecipeError) as caught:
        train(read_recipe(recipe_file, settings), run)
    assert str(caught.value) == f"{damaged} is not a readable image"
    assert state(run)["images"] == 3
    damaged.write_bytes(intact)
    train(read_recipe(recipe_file, settings), run)
    assert same_weights(run, whole)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "raise training.accumulate and rerun"),
        (MemoryError(), "out of memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "lower training.workers"),
    ],
)
def test_the_state_is_saved_when_memory_runs_out(shared, whole, tmp_path, monkeypatch, error, message):
    recipe, run = read_recipe(shared / "own.yml"), tmp_path / "run"
    fail_at(monkeypatch, 4, error)
    with pytest.raises(TrainingError, match=message):
        train(recipe, run)
    assert state(run)["images"] == 4
    monkeypatch.undo()
    train(recipe, run)
    assert same_weights(run, whole)


def test_the_state_is_saved_when_a_gradient_is_not_finite(recipe_file, folders, monkeypatch):
    run = folders / "run"
    whole_step = loop.step

    def spoiled(task, state, batches, *others):
        if state.images == 4:
            batches[0].batch["lq"][:] = torch.nan
        return whole_step(task, state, batches, *others)

    monkeypatch.setattr(loop, "step", spoiled)
    with pytest.raises(TrainingError, match="gradient of generator is not finite after 4 images; start another run"):
        train(read_recipe(recipe_file, ["training.save_every=2"]), run)
    assert state(run)["images"] == 4
    assert all(value.isfinite().all() for value in read_weights(run / "model.safetensors")[0].values())


def test_float16_does_not_go_on_for_ever_without_learning(recipe_file, folders, monkeypatch):
    """A gradient that is not finite lowers the scale of the losses, which must end somewhere."""
    whole_step = loop.step

    def spoiled(task, state, batches, *others):
        batches[0].batch["lq"][:] = torch.nan
        return whole_step(task, state, batches, *others)

    monkeypatch.setattr(loop, "step", spoiled)
    settings = ["training.precision=float16", "training.images=1000", "training.validate_every=1000"]
    with pytest.raises(TrainingError, match=r"gradient of generator is not finite after \d\d images"):
        train(read_recipe(recipe_file, settings), folders / "run")


def test_an_error_within_a_step_keeps_the_files_of_the_last_save_as_well(recipe_file, folders, monkeypatch, capsys):
    run = folders / "run"
    fail_at(monkeypatch, 4, ValueError("unforeseen"), "discriminator")
    with pytest.raises(ValueError, match="unforeseen"):
        train(read_recipe(recipe_file, ["training.save_every=2"]), run)
    assert state(run)["images"] == 4
    assert torch.load(run / "earlier-state.pt", weights_only=True)["images"] == 4
    assert "in the middle of a step: generator updated" in capsys.readouterr().err
    monkeypatch.undo()
    train(read_recipe(recipe_file), run)
    assert state(run)["images"] == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_validation_loses_nothing(recipe_file, folders, monkeypatch, number):
    run = folders / "run"
    validate = RestorerTask.validate

    def stopped(*arguments):
        os.kill(os.getpid(), number)
        return validate(*arguments)

    monkeypatch.setattr(RestorerTask, "validate", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(read_recipe(recipe_file), run)
    assert state(run)["images"] == 8


def test_an_error_before_anything_is_learnt_leaves_no_state(recipe_file, folders, monkeypatch):
    fail_at(monkeypatch, 0, MemoryError())
    with pytest.raises(TrainingError):
        train(read_recipe(recipe_file), folders / "run")
    assert not (folders / "run" / "state.pt").exists()
    monkeypatch.undo()
    train(read_recipe(recipe_file, ["training.batch=4"]), folders / "run")


@pytest.mark.parametrize(
    "override",
    [
        *("name=another", "training.images=14", "training.accumulate=2", "training.workers=1"),
        *("training.validate_every=3", "training.save_every=2", "training.best.metric=same/ssim"),
        *("training.weights=float16", "task.validation={}", "task.validation.same.limit=2"),
        *("task.validation.same.gt=moved", "task.data.source=moved"),
    ],
)
def test_what_does_not_touch_the_weights_may_change(shared, begun, tmp_path, monkeypatch, override):
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(begun, tmp_path / "run")
    if "moved" in override:
        shutil.copytree(shared / "crops", "moved")
    train(read_recipe(shared / "own.yml", ["training.images=6", override]), run)
    assert state(run)["images"] >= 6


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("seed=3", "seed was 0, is 3"),
        ("training.batch=4", "training.batch was 2, is 4"),
        ("training.optimizer.learning_rate=1", "training.optimizer.learning_rate was 0.0005, is 1.0"),
        ("task.losses.pixel.weight=2", "task.losses.pixel.weight was 1.0, is 2.0"),
        ("task.network.widths=[8, 12]", "task.network.widths was [8, 8], is [8, 12]"),
        ("task.data.source=others", "task.data.source was '{crops}', is 'others'"),
    ],
)
def test_what_touches_the_weights_is_refused_by_name_with_both_values(
    shared, begun, tmp_path, monkeypatch, override, difference
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shared / "crops", "others")
    (tmp_path / "others" / "a.png").unlink()
    with pytest.raises(TrainingError) as caught:
        train(read_recipe(shared / "own.yml", [override]), begun)
    assert difference.format(crops=shared / "crops") in str(caught.value)


def test_files_that_have_changed_under_the_same_path_are_named(recipe_file, folders, capsys):
    train(read_recipe(recipe_file, ["training.images=4"]), folders / "run")
    (folders / "crops" / "b.png").unlink()
    train(read_recipe(recipe_file, ["task.validation={}"]), folders / "run")
    assert "the files of task.data.source have changed since the state was saved" in capsys.readouterr().err


@pytest.fixture(scope="module")
def judged(shared):
    """A run of two images whose best is more than any image reaches, to be copied."""
    train(read_recipe(shared / "own.yml", ["training.images=2", "training.best.metric=same/psnr"]), shared / "judged")
    torch.save(state(shared / "judged") | {"best": 1000.0}, shared / "judged" / "state.pt")
    return shared / "judged"


@pytest.mark.parametrize(
    ("override", "best"),
    [
        *(("name=same", 1000.0), ("training.best.better=higher", 1000.0), ("task.validation.same.gt=moved", 1000.0)),
        *(("task.validation.other={gt: moved, lq: moved}", 1000.0), ("training.best.metric=same/ssim", None)),
        *(("training.best.better=lower", None), ("task.validation.same.limit=2", None), ("training.best=null", None)),
        ("task.validation.same.lq=moved", None),
    ],
)
def test_the_best_starts_anew_if_it_is_judged_otherwise(shared, judged, tmp_path, monkeypatch, override, best):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shared / "crops", "moved")
    run = shutil.copytree(judged, tmp_path / "run")
    train(read_recipe(shared / "own.yml", ["training.images=4", "training.best.metric=same/psnr", override]), run)
    assert state(run)["best"] == best


def test_the_best_starts_anew_if_the_images_it_is_judged_by_change(recipe_file, folders):
    settings = ["training.images=2", "training.best.metric=same/psnr"]
    train(read_recipe(recipe_file, settings), folders / "run")
    torch.save(state(folders / "run") | {"best": 1000.0}, folders / "run" / "state.pt")
    cv2.imwrite(str(folders / "lq" / "a.png"), np.zeros((64, 64, 3), np.uint8))
    train(read_recipe(recipe_file, [*settings, "training.images=4"]), folders / "run")
    assert state(folders / "run")["best"] is None


def differences(recipe_file, first, second):
    """Settings in which two changed recipes must not differ, and do."""
    return compare(*(identify(read_recipe(recipe_file, [override])) for override in (first, second)))[0]


def test_a_pattern_may_move_with_its_files_only(recipe_file, folders):
    shutil.copytree(folders / "crops", folders / "moved")
    first = f"task.data.source={folders}/crops/[a-d].png"
    assert not differences(recipe_file, first, f"task.data.source={folders}/moved/[a-d].png")
    for other in (f"{folders}/crops/[a-c].png", f"{folders}/crops/[x-z].png"):
        assert "task.data.source was " in differences(recipe_file, first, f"task.data.source={other}")[0]
    assert differences(recipe_file, "task.data.source=none/*.png", "task.data.source=nowhere/*.png")


def test_another_url_is_another_source(recipe_file, folders):
    first, second = (f"task.data.source=[{folders}/crops, 's3://faces/{name}.tar']" for name in ("one", "two"))
    assert differences(recipe_file, first, second)
    assert not differences(recipe_file, first, first)


def test_folders_of_photos_may_move_with_their_files_only(folders):
    def identity(*names):
        photos = [{"folder": folders / name, "weight": weight} for weight, name in enumerate(names, 1)]
        task = {"kind": "repair", "photos": photos, "damage": [{"step": "print_damage"}]}
        return identify(Recipe.model_validate({"name": "own", "task": task, "training": {"images": 4}}))

    shutil.copytree(folders / "crops", folders / "moved")
    assert compare(identity("crops", "lq"), identity("moved", "lq")) == ([], [])
    (difference,) = compare(identity("crops", "lq"), identity("crops", "moved"))[0]
    assert difference == f"task.photos.folder was {str(folders / 'lq')!r}, is {str(folders / 'moved')!r}"
    assert "task.photos was " in compare(identity("crops", "lq"), identity("crops"))[0][0]


@pytest.mark.parametrize(("metric", "best"), [("same/psnr", max), ("same/vgg_cosine", min)])
def test_the_best_is_judged_in_the_direction_of_its_metric(recipe_file, folders, monkeypatch, metric, best):
    from revisage.training.run_folder import RunFolder

    recipe = read_recipe(recipe_file, [f"training.best.metric={metric}", "task.metrics.features=vgg.npz"])
    state = type("State", (), {"best": None})()
    folder = RunFolder(folders, recipe, {}, None, state, writes=False)
    for value in (2.0, float("nan"), 1.0, 3.0):
        folder.is_best(value)
    assert state.best == best(1.0, 3.0)


def test_a_best_that_is_not_a_number_does_not_stay_the_best(recipe_file, folders):
    from revisage.training.run_folder import RunFolder

    state = type("State", (), {"best": None})()
    folder = RunFolder(
        folders, read_recipe(recipe_file, ["training.best.metric=same/psnr"]), {}, None, state, writes=False
    )
    assert not folder.is_best(float("nan"))
    assert folder.is_best(1.0)
