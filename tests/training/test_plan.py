import cv2
import numpy as np
import pytest

from revisage.training.plan import plan
from revisage.training.recipe import Recipe


@pytest.fixture
def recipe(tmp_path):
    for name in "ab":
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (64, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    task = {
        "kind": "restorer",
        "crops": [tmp_path],
        "size": 64,
        "patch": 32,
        "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
        "losses": {"pixel": {}, "adversarial": {}},
    }
    return {"name": "tiny", "task": task, "training": {"images": 8, "batch": 4}}


def made(recipe, **training):
    return plan(Recipe.model_validate(recipe | {"training": recipe["training"] | training}))


def test_every_network_is_counted(recipe):
    networks = made(recipe).networks
    assert set(networks) == {"generator", "discriminator"}
    assert all(learning == all_ > 0 for learning, all_ in networks.values())


def test_constant_memory_is_weights_gradients_two_moments_and_the_average(recipe):
    found = made(recipe)
    generator, discriminator = (counts[1] for counts in found.networks.values())
    assert found.constant == 4 * (5 * generator + 4 * discriminator)


def test_larger_patches_take_more_memory_and_parts_less(recipe):
    recipe["task"]["losses"] = {"pixel": {}}
    small = made(recipe)
    recipe["task"]["patch"] = 64
    assert 3.5 < made(recipe).image / small.image < 4.5
    assert made(recipe, accumulate=2).images == 2
    assert made(recipe, accumulate=2).memory < made(recipe).memory
