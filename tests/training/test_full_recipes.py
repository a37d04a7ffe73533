"""The recipes of whole networks: each starts, tiny in the fast tests, and at its full size in the slow ones."""

import json

import cv2
import numpy as np
import pytest
import torch

from locations import RECIPES
from revisage.models.architectures import network_class
from revisage.models.checkpoint import read_weights, save_weights
from revisage.models.nets.restoreformer import VQVAEGAN
from revisage.models.nets.stylegan2_fir import StyleGAN2Generator
from revisage.models.nets.vgg import VGG16Features, VGG19Features
from revisage.training.loop import train
from revisage.training.recipe import read_recipe

NAMES = ["gfpgan_v1", "gfpgan_v1_simple", "restoreformer_vqgan", "restoreformer", "stylegan2"]
TINY_STYLEGAN2 = {"out_size": 32, "num_style_feat": 8, "num_mlp": 2, "narrow": 0.03125}
TINY_DICTIONARY = {
    "n_embed": 16, "embed_dim": 8, "ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [8],
    "resolution": 32, "z_channels": 8, "head_size": 2,
}  # fmt: skip
TINY_GAME = {"ndf": 8, "n_layers": 1}
TWO_STEPS = {"images": 4, "batch": 2, "workers": 0, "validate_every": 4, "save_every": 4}


def settings(prefix, values):
    return [f"{prefix}.{key}={json.dumps(value)}" for key, value in values.items()]


@pytest.fixture(scope="session")
def prior(tmp_path_factory):
    path = tmp_path_factory.mktemp("prior") / "prior.safetensors"
    torch.manual_seed(1)
    save_weights(path, StyleGAN2Generator(**TINY_STYLEGAN2, channel_multiplier=1).state_dict())
    return path


@pytest.fixture(scope="session")
def dictionary(tmp_path_factory):
    path = tmp_path_factory.mktemp("dictionary") / "dictionary.safetensors"
    torch.manual_seed(1)
    save_weights(path, VQVAEGAN(**TINY_DICTIONARY).state_dict())
    return path


@pytest.fixture
def tiny(faces, landmarks, vgg19, lpips_channels, arcface, prior, dictionary):
    """Recipe -> settings that make it tiny."""
    data = [f"task.data.source={faces}"]
    pairs = [f"task.validation={{pairs: {{gt: {faces}, lq: {faces}, limit: 2}}}}"]
    places = [f"task.data.landmarks={landmarks}"]
    identity = [f"task.losses.identity.file={arcface}"]
    game = settings("task.losses.adversarial.discriminator", {"out_size": 32, "narrow": 0.03125})
    gfpgan = [
        *data, *pairs, *game, "task.size=32", *settings("task.network", TINY_STYLEGAN2),
        f"task.network.decoder_weights={prior}", "task.losses.perceptual.layers={conv1_2: 1}",
        f"task.losses.perceptual.file={vgg19}",
    ]  # fmt: skip
    autoencoder = [
        *data, "task.size=32", *settings("task.network", TINY_DICTIONARY), "task.losses.start_at=1",
        *settings("task.losses.adversarial.discriminator", TINY_GAME), "task.losses.perceptual.stages=1",
        f"task.losses.perceptual.file={vgg19}", f"task.losses.perceptual.channels={lpips_channels}",
    ]  # fmt: skip
    return {
        "gfpgan_v1": [*gfpgan, *places, *identity],
        "gfpgan_v1_simple": gfpgan,
        "restoreformer_vqgan": [*autoencoder, f"task.validation={{faces: {faces}}}", "task.limit=2"],
        "restoreformer": [*autoencoder, *pairs, *places, *identity, f"task.vqgan_weights={dictionary}"],
        "stylegan2": [
            *data, *settings("task.network", TINY_STYLEGAN2),
            *settings("task.discriminator", {"out_size": 32, "narrow": 0.03125}), "task.samples=4",
        ],
    }  # fmt: skip


def check(run, recipe):
    """A whole run was left behind: finite losses, a validation, a grid, and weights that build their network."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert "validation" in records[-1]
    assert list((run / "samples").iterdir())
    state, header = read_weights(run / "model.safetensors")
    assert header.notes["recipe"] == recipe.name
    with torch.device("meta"):
        network = network_class(header.architecture)(**header.arguments)
    assert state.keys() == network.state_dict().keys()
    assert all(bool(value.isfinite().all()) for value in state.values())
    return state


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_starts(tiny, tmp_path, name):
    recipe = read_recipe(RECIPES / f"{name}.yml", [*tiny[name], *settings("training", TWO_STEPS)])
    train(recipe, tmp_path / "run")
    check(tmp_path / "run", recipe)


def test_gfpgan_leaves_its_prior_as_it_is_bit_for_bit(tiny, tmp_path, prior):
    recipe = read_recipe(RECIPES / "gfpgan_v1.yml", [*tiny["gfpgan_v1"], *settings("training", TWO_STEPS)])
    train(recipe, tmp_path / "run")
    learnt = read_weights(prior)[0]
    for name in ("networks", "ema"):
        content = torch.load(tmp_path / "run" / "state.pt", weights_only=True)[name]
        state = content["generator"] if name == "networks" else content
        assert all(torch.equal(value, state[f"stylegan_decoder.{key}"]) for key, value in learnt.items())


def test_gfpgan_plays_against_four_and_has_every_published_term(tiny):
    from revisage.training.task import Progress

    task = read_recipe(RECIPES / "gfpgan_v1.yml", tiny["gfpgan_v1"]).task.build(0)
    steps = list(task.optimizer_steps(task.collate([task.dataset[index] for index in range(2)]), Progress(0, 0)))
    parts = ("left_eye", "right_eye", "mouth")
    assert [who for who, _ in steps] == ["generator", "discriminator", *parts] == list(task.networks)
    of_parts = {f"{kind}/{part}" for part in parts for kind in ("adversarial", "style")}
    assert set(steps[0][1]) == {"pixel", "pyramid", "perceptual", "identity", "adversarial", *of_parts}
    assert set(steps[1][1]) == {"discriminator", "r1"}
    assert all(float(term.detach()) > 0 for _, terms in steps for term in terms.values())


def test_restoreformers_attention_learns_ten_times_as_fast(tiny):
    from revisage.training.distributed import World
    from revisage.training.state import State
    from revisage.training.step import MicroBatch, step

    recipe = read_recipe(RECIPES / "restoreformer.yml", [*tiny["restoreformer"], "training.batch=2"])
    task = recipe.task.build(0)
    state = State.initial(task.networks, recipe.training)
    part = MicroBatch(0, task.collate([task.dataset[index] for index in range(2)]))
    step(task, state, [part], 0, recipe.training, World())
    rates = {id(p): group["lr"] for group in state.optimizers["generator"].param_groups for p in group["params"]}
    decoder = task.network.decoder
    assert rates[id(decoder.conv_out.weight)] == pytest.approx(7.2e-5)
    assert rates[id(decoder.up[1].attn[0].q.weight)] == pytest.approx(7.2e-4)
    assert len(rates) == sum(parameter.requires_grad for parameter in task.network.parameters())


@pytest.fixture
def full(tmp_path, landmarks, lpips_channels, arcface):
    """Recipe -> settings that leave its networks at full size, with random weights where it names published ones."""
    faces = tmp_path / "faces"
    faces.mkdir()
    for place in range(2):
        small = np.random.default_rng(place).integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(faces / f"{place:08d}.png"), cv2.resize(small, (512, 512)))

    def written(name, network):
        torch.save(network.state_dict(), tmp_path / name)
        return tmp_path / name

    data = [f"task.data.source={faces}"]
    pairs = [f"task.validation={{pairs: {{gt: {faces}, lq: {faces}, limit: 1}}}}"]
    whole = [f"task.data.landmarks={landmarks}", f"task.losses.identity.file={arcface}"]

    def gfpgan():
        generator = written("prior.pth", StyleGAN2Generator(512, channel_multiplier=1))
        vgg19 = written("vgg19.pth", VGG19Features())
        return [*data, *pairs, f"task.network.decoder_weights={generator}", f"task.losses.perceptual.file={vgg19}"]

    def autoencoder():
        np.savez(tmp_path / "vgg16.npz", **{key: value.numpy() for key, value in VGG16Features().state_dict().items()})
        files = [f"task.losses.perceptual.file={tmp_path / 'vgg16.npz'}"]
        return [*data, *files, f"task.losses.perceptual.channels={lpips_channels}", "task.losses.start_at=1"]

    return {
        "gfpgan_v1": lambda: [*gfpgan(), *whole],
        "gfpgan_v1_simple": gfpgan,
        "restoreformer_vqgan": lambda: [*autoencoder(), f"task.validation={{faces: {faces}}}", "task.limit=1"],
        "restoreformer": lambda: [
            *autoencoder(), *pairs, *whole, f"task.vqgan_weights={written('dictionary.pth', VQVAEGAN(head_size=4))}",
        ],
        "stylegan2": lambda: [*data, "task.samples=1"],
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_two_steps_at_full_size(full, tmp_path, name):
    short = settings("training", TWO_STEPS | {"batch": 1, "images": 2, "validate_every": 2, "save_every": 2})
    recipe = read_recipe(RECIPES / f"{name}.yml", [*full[name](), *short])
    train(recipe, tmp_path / "run")
    check(tmp_path / "run", recipe)
