from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from revisage.errors import RecipeError
from revisage.training.distributed import World
from revisage.training.embedded.repair import RepairConfig, damage_mask
from revisage.training.task import Progress


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(21):
        PIL.Image.fromarray(rng.integers(80, 160, (50, 60, 3), np.uint8)).save(folder / f"{index:02}.png")
    return folder


def config(photos, **more):
    network = {"type": "RepairUNet", "widths": (4, 8), "blocks": (1, 1)}
    settings = {"damage": [{"step": "print_damage", "scratches": (2, 3)}], "intact": 0.0, "softness": (0, 0)}
    return RepairConfig(kind="repair", photos=[{"folder": photos}], patch=32, network=network, **{**settings, **more})


def test_the_mask_is_where_sample_and_original_differ(photos):
    sample = config(photos).build(0).dataset[3]
    change = (sample["lq"] - sample["gt"]).abs().amax(0)
    assert sample["mask"].any()
    assert change[sample["mask"][0] == 0].max() < 5 / 255
    assert change[sample["mask"][0] == 1].min() > 11 / 255


def test_an_intact_sample_has_an_empty_mask(photos):
    sample = config(photos, intact=1.0).build(0).dataset[3]
    assert not sample["mask"].any()
    assert torch.allclose(sample["lq"], sample["gt"], atol=1 / 255)


def test_what_is_hardly_seen_is_no_damage():
    photo = np.full((4, 4, 3), 0.5, np.float32)
    assert damage_mask(photo, photo + np.float32(3 / 255)).max() == 0
    assert damage_mask(photo, photo + np.float32(13 / 255)).min() == 1


def test_validation_counts_pixels_over_all_samples(photos):
    task = config(photos).build(0)
    result = task.validate(task.network, World())
    assert set(result.metrics) == {"recall", "precision", "psnr", "damaged_psnr"}
    assert result.metrics["psnr"] == pytest.approx(result.metrics["damaged_psnr"], abs=0.01)  # it fills nothing yet


def test_steps_lower_the_losses(photos):
    task = config(photos).build(0)
    batch = task.collate([task.dataset[index] for index in range(4)])
    optimizer = torch.optim.Adam(task.network.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        ((_, terms),) = islice(task.optimizer_steps(batch, Progress(0, 0)), 1)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        losses.append(sum(terms.values()).item())
    assert losses[-1] < 0.95 * losses[0]


def test_a_patch_that_the_network_cannot_take_is_refused(photos):
    with pytest.raises(RecipeError, match=r"task\.patch: the network needs a multiple of 4, not 30"):
        config(photos).model_copy(update={"patch": 30}).build(0)
