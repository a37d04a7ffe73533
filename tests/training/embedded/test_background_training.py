from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from revisage.errors import RecipeError
from revisage.training.data.degradations.recipes import Steps
from revisage.training.data.degradations.steps import Gray
from revisage.training.distributed import World
from revisage.training.embedded.background import BackgroundConfig, PhotoPatches
from revisage.training.task import Progress


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(21):
        PIL.Image.fromarray(rng.integers(0, 256, (50, 60, 3), np.uint8)).save(folder / f"{index:02}.png")
    return folder


def config(photos, **more):
    network = {"type": "BackgroundUNet", "widths": (4, 8), "blocks": (1, 1)}
    return BackgroundConfig(kind="background", photos=[{"folder": photos}], patch=16, network=network, **more)


def patches(photos, **more):
    chosen = {"color_steps": (), "degradation": Steps(()), **more}
    return PhotoPatches([(path, (0.5, 1.0)) for path in sorted(photos.iterdir())], patch=16, seed=1, **chosen)


def test_an_original_is_twice_as_large_as_its_sample(photos):
    sample = patches(photos)[3]
    assert (sample["lq"].shape, sample["gt"].shape) == ((3, 16, 16), (3, 32, 32))
    assert 0 <= sample["lq"].min() <= sample["lq"].max() <= 1


def test_samples_depend_on_seed_and_index_alone(photos):
    assert torch.equal(patches(photos)[5]["lq"], patches(photos)[5]["lq"])
    assert not torch.equal(patches(photos)[5]["lq"], patches(photos)[6]["lq"])


def test_color_steps_are_in_the_original_as_well(photos):
    sample = patches(photos, color_steps=(Gray(),))[0]
    assert torch.equal(sample["gt"][0], sample["gt"][2])
    assert torch.equal(sample["lq"][0], sample["lq"][2])


def test_some_photos_are_kept_to_validate_on(photos):
    task = config(photos).build(0)
    assert len(task.dataset) == 19
    result = task.validate(task.network, World())
    assert set(result.metrics) == {"psnr", "ssim", "cubic_psnr", "cubic_ssim"}
    assert result.metrics["psnr"] == result.metrics["cubic_psnr"]  # an untrained network corrects nothing


def test_steps_lower_the_distance(photos):
    task = config(photos).build(0)
    batch = task.collate([task.dataset[index] for index in range(4)])
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        ((_, terms),) = islice(task.optimizer_steps(batch, Progress(0, 0)), 1)
        optimizer.zero_grad()
        terms["pixel"].backward()
        optimizer.step()
        losses.append(terms["pixel"].item())
    assert losses[-1] < losses[0]


def test_a_process_without_a_photo_to_validate_on_shows_none(photos, monkeypatch):
    task = config(photos).build(0)
    first = task.validate(task.network, World()).metrics
    monkeypatch.setattr(World, "gather", lambda _, rows: rows or [first])
    result = task.validate(task.network, World(rank=3, size=4))
    assert result.metrics == first
    assert result.image_grid is None


def test_a_patch_that_the_network_cannot_take_is_refused(photos):
    with pytest.raises(RecipeError, match=r"task\.patch: the network needs a multiple of 8, not 12"):
        config(photos).model_copy(update={"patch": 12}).build(0)


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no images"):
        config(tmp_path).build(0)
