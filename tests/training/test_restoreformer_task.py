import pytest
import torch

import revisage
from revisage.errors import CheckpointError, RecipeError
from revisage.models.checkpoint import Header, read_weights, save_weights
from revisage.models.nets.restoreformer import VQVAEGAN
from revisage.training.config import TrainingConfig
from revisage.training.distributed import World
from revisage.training.loop import train
from revisage.training.recipe import Recipe
from revisage.training.state import State
from revisage.training.step import MicroBatch, step
from revisage.training.task import Progress
from revisage.training.tasks.restoreformer import RestoreFormerTaskConfig

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
ADVERSARIAL = {"discriminator": {"ndf": 8, "n_layers": 1}}


@pytest.fixture
def dictionary(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "dictionary.safetensors"
    save_weights(path, VQVAEGAN(**NETWORK).state_dict(), Header("VQVAEGAN", NETWORK))
    return path


@pytest.fixture
def settings(faces, landmarks, dictionary):
    return {
        "kind": "restoreformer",
        "data": {"source": str(faces), "landmarks": landmarks, "degradation": {"degradation": "extended"}},
        "size": 32,
        "vqgan_weights": dictionary,
        "network": NETWORK,
        "validation": {"same": {"gt": faces, "lq": faces, "limit": 2}},
    }


def task(settings, **changes):
    torch.manual_seed(0)
    return RestoreFormerTaskConfig.model_validate(settings | changes).build(seed=0)


def batch(made):
    return made.collate([made.dataset[index] for index in range(2)])


def moved(made):
    """Names of the generator's parameters that a step changes."""
    training = TrainingConfig(images=2, batch=2)
    before = {name: value.detach().clone() for name, value in made.network.named_parameters()}
    step(made, State.initial(made.networks, training), [MicroBatch(0, batch(made))], 0, training, World())
    return {name for name, value in made.network.named_parameters() if not torch.equal(value, before[name])}


def test_it_begins_with_the_dictionary(settings, dictionary):
    learnt, own = read_weights(dictionary)[0], task(settings).network.state_dict()
    assert learnt.keys() == own.keys()
    assert all(torch.equal(learnt[key], own[key]) for key in own)


def test_restoreformer_plus_plus_begins_with_it_but_for_the_attention_that_only_it_has(settings):
    made = task(settings, network=NETWORK | {"ex_multi_scale_num": 1})
    assert "decoder.up.0.attn.0.q.weight" in made.network.state_dict()


def test_a_dictionary_of_another_size_is_refused(settings):
    with pytest.raises(CheckpointError, match=r"quantize\.embedding\.weight is"):
        task(settings, network=NETWORK | {"n_embed": 32})


def test_a_dictionary_that_is_not_there_is_named(settings, tmp_path):
    with pytest.raises(RecipeError, match=r"task.vqgan_weights: .*none.pth"):
        task(settings, vqgan_weights=tmp_path / "none.pth")


def test_the_codebook_stays_and_everything_else_that_is_used_moves(settings):
    names = moved(task(settings))
    assert "quantize.embedding.weight" not in names
    assert {"encoder.conv_in.weight", "quant_conv.weight", "decoder.conv_out.weight"} <= names


def test_a_fixed_decoder_stays_as_it_is_bit_for_bit(settings):
    network = NETWORK | {"fix_decoder": True}
    names = moved(task(settings, network=network, losses={"adversarial": ADVERSARIAL}))
    assert names
    assert all(name.startswith(("encoder.", "quant_conv.")) for name in names)


def test_every_network_has_its_step(settings, arcface):
    losses = {
        "adversarial": ADVERSARIAL,
        "components": {"style": 2000},
        "identity": {"network": "arcface", "file": arcface},
    }
    made = task(settings, losses=losses)
    steps = list(made.optimizer_steps(batch(made), Progress(0, 0)))
    assert [who for who, _ in steps] == ["generator", "discriminator", "left_eye", "right_eye", "mouth"]
    assert list(made.networks) == [who for who, _ in steps]
    parts = [f"{kind}/{part}" for part in ("left_eye", "right_eye", "mouth") for kind in ("adversarial", "style")]
    assert list(steps[0][1]) == ["pixel", "codebook", "adversarial", *parts, "identity"]


def test_game_components_and_identity_begin_together(settings, arcface):
    losses = {
        "adversarial": ADVERSARIAL,
        "components": {},
        "identity": {"network": "arcface", "file": arcface},
        "start_at": 100,
    }
    made = task(settings, losses=losses)
    (turn,) = made.optimizer_steps(batch(made), Progress(99, 1))
    assert set(turn[1]) == {"pixel", "codebook"}


@pytest.mark.parametrize("extra", [0, 1])
def test_what_is_saved_loads_as_a_restorer(settings, tmp_path, extra):
    settings["network"] = NETWORK | {"ex_multi_scale_num": extra}
    training = {"images": 2, "batch": 2, "workers": 0, "validate_every": 2}
    recipe = Recipe.model_validate({"name": "tiny", "task": settings, "training": training})
    restorer = revisage.load(train(recipe, tmp_path / "run"), device="cpu")
    assert restorer.size == 32
