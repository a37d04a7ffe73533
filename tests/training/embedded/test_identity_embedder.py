import json

import pytest
import torch

from revisage.errors import RecipeError
from revisage.models.build import build
from revisage.training.distributed import World
from revisage.training.embedded.identity_embedder import IdentityEmbedderConfig
from revisage.training.loop import train
from revisage.training.recipe import Recipe
from revisage.training.task import Progress

NETWORK = {"widths": [4, 8, 8, 8], "blocks": [0, 0, 1, 0], "size": 16}


@pytest.fixture
def settings(faces):
    pairs = {"gt": str(faces), "lq": str(faces), "limit": 4}
    return {"kind": "identity_embedder", "crops": [str(faces)], "network": NETWORK, "validation": {"pairs": pairs}}


def test_a_few_steps_lower_the_loss(settings):
    torch.manual_seed(0)
    task = IdentityEmbedderConfig.model_validate(settings).build(seed=0)
    batch = task.collate([task.dataset[index] for index in range(8)])
    optimizer = torch.optim.AdamW(task.network.parameters(), 1e-2)
    totals = []
    for _ in range(8):
        ((player, terms),) = task.optimizer_steps(batch, Progress(0, 0))
        optimizer.zero_grad()
        terms["contrastive"].backward()
        optimizer.step()
        totals.append(terms["contrastive"].item())
    assert player == "embedder"
    assert totals[-1] < 0.7 * totals[0]


def test_the_first_two_views_of_a_sample_are_partners(settings):
    """A network that knows each view of a pair by its color has no loss to speak of; one that swaps them has."""
    task = IdentityEmbedderConfig.model_validate(settings | {"temperature": 0.05}).build(seed=0)

    class Colours(torch.nn.Module):
        def forward(self, views):
            return torch.nn.functional.normalize(views.mean((2, 3)))

    task.network = Colours()
    plain = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    colors = plain[None, :, :, None, None].expand(-1, -1, -1, 8, 8)
    ((_, right),) = task.optimizer_steps({"views": colors}, Progress(0, 0))
    ((_, wrong),) = task.optimizer_steps({"views": colors[:, [0, 2, 1, 3]]}, Progress(0, 0))
    assert right["contrastive"] < 1e-3
    assert wrong["contrastive"] > 10


def test_an_examination_compares_images_of_the_same_and_of_different_people(settings):
    task = IdentityEmbedderConfig.model_validate(settings).build(seed=0)
    found = task.validate(task.network, World()).metrics
    assert found["pairs/same"] == pytest.approx(1)  # each is compared with itself
    assert found["pairs/auc"] == 1
    assert found["pairs/different"] < 1


def test_a_grid_has_four_views_of_each_sample(settings):
    task = IdentityEmbedderConfig.model_validate(settings).build(seed=0)
    views = task.collate([task.dataset[index] for index in range(3)])
    side = views["views"].shape[-1]
    assert task.image_grid(views).shape == (4 * side, 3 * side, 3)


def test_restorations_belong_to_the_crops_by_name(settings, faces, tmp_path):
    task = IdentityEmbedderConfig.model_validate(settings | {"restored": [str(faces)]}).build(seed=0)
    assert {len(versions) for versions in task.dataset.faces} == {2}
    with pytest.raises(RecipeError, match="no crops: no such file or folder"):
        IdentityEmbedderConfig.model_validate(settings | {"restored": [str(tmp_path / "none")]}).build(seed=0)


def test_a_run_leaves_weights_that_are_known_by_their_header(settings, tmp_path):
    training = {"images": 8, "batch": 4, "workers": 0, "validate_every": 8, "save_every": 8, "weights": "float16"}
    recipe = Recipe.model_validate({"name": "tiny", "task": settings, "training": training})
    network, header = build(train(recipe, tmp_path / "run"))
    assert header.architecture == "FaceEmbedder"
    assert network(torch.zeros(2, 3, 40, 40)).shape == (2, 16)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert "pairs/eer" in last["validation"]
