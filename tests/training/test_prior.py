import numpy as np
import pytest
import torch

from revisage.errors import CheckpointError, RecipeError
from revisage.models.checkpoint import read_weights, save_weights
from revisage.models.nets.stylegan2 import StyleGAN2GeneratorClean
from revisage.training.distributed import World
from revisage.training.loop import train
from revisage.training.recipe import Recipe
from revisage.training.task import Progress
from revisage.training.tasks.networks import GFPGANv1CleanConfig, GFPGANv1Config
from revisage.training.tasks.stylegan2 import StyleGAN2Config, mixed_latents

SMALL = {"out_size": 32, "num_style_feat": 8, "num_mlp": 2, "narrow": 0.03125, "channel_multiplier": 1}
KINDS = ["StyleGAN2GeneratorClean", "StyleGAN2Generator"]


@pytest.fixture
def settings(faces):
    return {
        "kind": "stylegan2",
        "data": {"source": str(faces)},
        "network": {"type": "StyleGAN2GeneratorClean", **SMALL},
        "discriminator": {"out_size": 32, "narrow": 0.03125},
        "samples": 4,
    }


def task(settings, **changes):
    torch.manual_seed(0)
    return StyleGAN2Config.model_validate(settings | changes).build(seed=0)


def steps(made, step=1):
    torch.manual_seed(0)
    batch = made.collate([made.dataset[index] for index in range(4)])
    return dict(made.optimizer_steps(batch, Progress(4 * step, step)))


def run(settings, folder, **training):
    training = {"batch": 4, "workers": 0, "validate_every": 1000, "save_every": 4} | training
    training["schedule"] = {"kind": "constant", "warmup": 0}
    return train(Recipe.model_validate({"name": "tiny", "task": settings, "training": training}), folder)


def test_penalties_come_every_few_steps(settings):
    made = task(settings, r1_every=4, path_length={"every": 2})
    kinds = {step: {who: set(terms) for who, terms in steps(made, step).items()} for step in (1, 2, 4)}
    plain = {"discriminator": {"discriminator"}, "generator": {"adversarial"}}
    assert kinds[1] == plain
    assert kinds[2] == plain | {"generator": {"adversarial", "path_length"}}
    assert kinds[4] == {"discriminator": {"discriminator", "r1"}, "generator": {"adversarial", "path_length"}}


def test_path_lengths_may_be_left_alone(settings):
    assert set(steps(task(settings, path_length=None), step=0)["generator"]) == {"adversarial"}


def test_each_side_learns_from_its_own_step_only(settings):
    made = task(settings)
    batch = made.collate([made.dataset[index] for index in range(4)])
    for who, terms in made.optimizer_steps(batch, Progress(0, 0)):
        for network in made.networks.values():
            network.zero_grad()
        sum(terms.values()).backward()
        learning = {
            name for name, network in made.networks.items() if any(p.grad is not None for p in network.parameters())
        }
        assert learning == {who}


def test_the_mean_path_length_follows_the_paths(settings):
    made = task(settings)
    assert float(made.discriminator_state.path_length) == 0
    steps(made, step=0)
    first = float(made.discriminator_state.path_length)
    steps(made, step=0)
    assert 0 < first < float(made.discriminator_state.path_length)


@pytest.mark.parametrize(("mixing", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_styles_are_mixed_as_often_as_asked(mixing, share):
    torch.manual_seed(0)
    generator = StyleGAN2GeneratorClean(**SMALL)
    latents = mixed_latents(generator, 400, mixing)
    assert latents.shape == (400, generator.num_latent, 8)
    mixed = (latents != latents[:, :1]).any(dim=2)
    assert float(mixed.any(dim=1).float().mean()) == pytest.approx(share, abs=0.08)
    # Once the second style has begun it stays.
    assert bool((mixed[:, 1:] >= mixed[:, :-1]).all())


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(settings, tmp_path):
    run(settings, tmp_path / "whole", images=24)
    run(settings, tmp_path / "parts", images=12)
    run(settings, tmp_path / "parts", images=24)
    whole, parts = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    assert float(whole["networks"]["discriminator"]["path_length"]) > 0
    for name, state in whole["networks"].items():
        assert all(torch.equal(value, parts["networks"][name][key]) for key, value in state.items())
    first, second = (read_weights(tmp_path / name / "model.safetensors")[0] for name in ("whole", "parts"))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_file_is_a_prior_for_gfpgan(settings, tmp_path, kind):
    path = run(settings | {"network": {"type": kind, **SMALL}}, tmp_path / "run", images=4)
    config = {"StyleGAN2GeneratorClean": GFPGANv1CleanConfig, "StyleGAN2Generator": GFPGANv1Config}[kind]
    network = config(**SMALL, decoder_weights=path).build()
    state = network.get_submodule("stylegan_decoder").state_dict()
    learnt, header = read_weights(path)
    assert header.architecture == kind
    assert state.keys() == learnt.keys()
    assert all(torch.equal(value, state[key]) for key, value in learnt.items())


def test_a_prior_of_a_smaller_size_is_refused(settings, tmp_path):
    path = run(settings, tmp_path / "run", images=4)
    with pytest.raises(CheckpointError, match="does not fit"):
        GFPGANv1CleanConfig(**SMALL | {"out_size": 64}, decoder_weights=path).build()


def test_a_validation_draws_the_same_faces_every_time(settings):
    made = task(settings)
    torch.manual_seed(1)
    first = made.validate(made.network, World())
    torch.manual_seed(2)
    second = made.validate(made.network, World())
    assert first.image_grid.shape == (32, 128, 3)
    assert np.array_equal(first.image_grid, second.image_grid)
    assert set(first.metrics) == {"path_length"}


def test_training_can_begin_with_weights(settings, tmp_path):
    torch.manual_seed(5)
    start = StyleGAN2GeneratorClean(**SMALL)
    save_weights(tmp_path / "start.safetensors", start.state_dict())
    made = task(settings, initial_weights=tmp_path / "start.safetensors")
    assert torch.equal(made.network.constant_input.weight, start.constant_input.weight)


def test_a_discriminator_of_another_size_is_refused(settings):
    with pytest.raises(ValueError, match=r"discriminator.out_size is 512, network.out_size 32"):
        task(settings, discriminator={})


def test_features_that_are_not_there_are_named(settings, tmp_path):
    with pytest.raises(RecipeError, match=r"task.fid: .*none.pth"):
        task(settings, fid={"network": tmp_path / "none.pth", "statistics": tmp_path / "none.npz"})
