import pytest
import torch
from pydantic import ValidationError

import revisage
from revisage.errors import RecipeError
from revisage.training.config import TrainingConfig
from revisage.training.distributed import World
from revisage.training.loop import train
from revisage.training.recipe import Recipe
from revisage.training.state import State
from revisage.training.step import MicroBatch, step
from revisage.training.task import Progress
from revisage.training.tasks.restoreformer import VQGANConfig

NETWORK = {
    "n_embed": 16,
    "embed_dim": 8,
    "ch": 32,
    "ch_mult": [1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [16],
    "resolution": 32,
    "z_channels": 8,
    "head_size": 2,
}
GAME = {"adversarial": {"discriminator": {"ndf": 8, "n_layers": 1}}}


@pytest.fixture
def settings(faces):
    return {
        "kind": "vqgan",
        "data": {"source": str(faces)},
        "size": 32,
        "network": NETWORK,
        "validation": {"hq": faces},
        "limit": 3,
    }


def task(settings, **changes):
    torch.manual_seed(0)
    return VQGANConfig.model_validate(settings | changes).build(seed=0)


def batch(made):
    return made.collate([made.dataset[index] for index in range(2)])


def steps(made, images=0):
    torch.manual_seed(0)
    return dict(made.optimizer_steps(batch(made), Progress(images, 0)))


def one_step(made):
    state = State.initial(made.networks, TrainingConfig(images=2, batch=2))
    step(made, state, [MicroBatch(0, batch(made))], 0, TrainingConfig(images=2, batch=2), World())


def test_a_size_that_the_network_does_not_take_is_named_at_the_start(settings):
    with pytest.raises(RecipeError, match=r"task\.size: the network needs a multiple of 2, not 31"):
        task(settings, size=31)


def test_it_draws_originals_with_near_codes(settings):
    made = task(settings)
    assert set(steps(made)) == {"generator"}
    assert set(steps(made)["generator"]) == {"pixel", "codebook"}


def test_the_samples_are_not_degraded(settings):
    samples = batch(task(settings))
    assert torch.equal(samples["lq"], samples["gt"])


def test_the_game_begins_when_the_recipe_says(settings):
    made = task(settings, losses=GAME | {"start_at": 100})
    assert set(steps(made, images=99)) == {"generator"}
    assert set(steps(made, images=100)) == {"generator", "discriminator"}


def test_the_adversarial_term_pulls_as_hard_as_the_reconstruction(settings):
    """In its gradient at the last layer, up to the weight of 0.8."""
    made = task(settings, losses=GAME)
    terms = next(made.optimizer_steps(batch(made), Progress(0, 0)))[1]
    last = made.network.decoder.conv_out.weight
    pulls = {
        name: torch.autograd.grad(terms[name], last, retain_graph=True)[0].norm() for name in ("adversarial", "pixel")
    }
    assert float(pulls["adversarial"] / pulls["pixel"]) == pytest.approx(0.8, rel=0.02)


def test_a_lpips_term_reaches_the_network(settings, vgg19, lpips_channels):
    perceptual = {"network": "lpips", "file": vgg19, "channels": lpips_channels, "stages": 1}
    made = task(settings, losses={"perceptual": perceptual})
    terms = steps(made)["generator"]
    terms["perceptual"].backward()
    assert made.network.decoder.conv_out.weight.grad.abs().sum() > 0


def test_a_step_moves_the_codebook(settings):
    made = task(settings)
    before = made.network.quantize.embedding.weight.detach().clone()
    one_step(made)
    assert not torch.equal(made.network.quantize.embedding.weight, before)


def test_each_side_learns_from_its_own_step_only(settings):
    made = task(settings, losses=GAME)
    for who, terms in made.optimizer_steps(batch(made), Progress(0, 0)):
        for network in made.networks.values():
            network.zero_grad()
        sum(terms.values()).backward()
        assert {
            name for name, network in made.networks.items() if any(p.grad is not None for p in network.parameters())
        } == {who}


def test_components_need_boxes_in_the_data(settings):
    with pytest.raises(ValidationError, match=r"losses\.components needs the places of eyes and mouth"):
        task(settings, losses={"components": {}})


def test_an_validation_counts_the_entries_in_use(settings):
    made = task(settings)
    found = made.validate(made.network, World())
    assert set(found.metrics) == {"hq/psnr", "hq/ssim", "hq/perplexity"}
    assert 1 <= found.metrics["hq/perplexity"] <= 16
    assert found.image_grid.shape == (64, 64, 3)


def test_what_is_saved_loads_as_a_restorer(settings, tmp_path):
    training = {"images": 2, "batch": 2, "workers": 0, "validate_every": 2}
    recipe = Recipe.model_validate({"name": "tiny", "task": settings, "training": training})
    restorer = revisage.load(train(recipe, tmp_path / "run"), device="cpu")
    assert restorer.size == 32
