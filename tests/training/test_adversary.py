"""What a restorer plays against; the game as a whole is tested in test_restorer_task.py."""

import pytest
import torch
from pydantic import ValidationError

from revisage.training.task import Progress
from revisage.training.tasks.gan import COMPONENTS, component_boxes
from revisage.training.tasks.restorer import RestorerConfig

GENERATOR = {"out_size": 32, "num_style_feat": 8, "num_mlp": 1, "narrow": 0.03125, "channel_multiplier": 1}
GAME = {"discriminator": {"type": "StyleGAN2Discriminator", "out_size": 32, "narrow": 0.03125}}


@pytest.fixture
def settings(faces, landmarks):
    return {
        "kind": "restorer",
        "data": {"source": str(faces), "landmarks": landmarks},
        "size": 32,
        "network": {"type": "GFPGANv1Clean", **GENERATOR},
        "losses": {"pixel": {}, "adversarial": GAME, "components": {}},
    }


def task(settings, **changes):
    torch.manual_seed(0)
    return RestorerConfig.model_validate(settings | changes).build(seed=0)


def batch(made, size=4):
    return made.collate([made.dataset[index] for index in range(size)])


def test_originals_and_restored_images_are_judged_apart(settings):
    """Else a discriminator that compares the images of a batch would find originals in every group."""
    made = task(settings)
    seen = []
    made.gan.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    samples = batch(made)
    list(made.optimizer_steps(samples, Progress(0, 1)))
    assert [len(images) for images in seen] == [4, 4, 4]  # restored; originals, restored
    assert torch.equal(seen[1], samples["gt"])
    assert torch.equal(seen[2], seen[0])


def test_eyes_and_mouth_have_networks_and_steps_of_their_own(settings):
    made = task(settings)
    steps = list(made.optimizer_steps(batch(made), Progress(0, 1)))
    assert list(made.networks) == ["generator", "discriminator", *COMPONENTS]
    assert [who for who, _ in steps] == list(made.networks)
    assert {f"adversarial/{part}" for part in COMPONENTS} | {f"style/{part}" for part in COMPONENTS} < set(steps[0][1])


def test_each_network_learns_from_its_own_step_only(settings):
    made = task(settings)
    for who, terms in made.optimizer_steps(batch(made), Progress(0, 0)):
        for network in made.networks.values():
            network.zero_grad()
        sum(terms.values()).backward()
        learning = {name for name, net in made.networks.items() if any(p.grad is not None for p in net.parameters())}
        assert learning == {who}


def test_no_network_begins_before_the_game(settings):
    made = task(settings, losses={"pixel": {}, "adversarial": {**GAME, "start_at": 100}, "components": {}})
    assert [who for who, _ in made.optimizer_steps(batch(made), Progress(99, 1))] == ["generator"]


def test_boxes_are_stacked_in_the_order_of_the_networks():
    samples = {name: torch.full((2, 4), float(place)) for place, name in enumerate(COMPONENTS)}
    assert component_boxes(samples)[:, :, 0].tolist() == [[0.0, 1.0, 2.0]] * 2


def test_components_without_landmarks_are_refused_before_the_first_step(settings, faces):
    with pytest.raises(ValidationError, match=r"losses.components needs .*: give data.landmarks"):
        task(settings, data={"source": str(faces)})


def test_a_discriminator_of_another_size_is_refused_before_it_starts(settings):
    other = {"type": "StyleGAN2Discriminator", "out_size": 64, "narrow": 0.03125}
    with pytest.raises(ValidationError, match=r"discriminator\.out_size is 64, samples have 32"):
        task(settings, losses={"adversarial": {"discriminator": other, "start_at": 1000}})


@pytest.mark.parametrize("changes", [{"data": None}, {"crops": ["somewhere"]}])
def test_faces_come_from_one_kind_of_data(settings, changes):
    with pytest.raises(ValidationError, match="give either data"):
        task(settings, **changes)


def test_a_priors_noise_is_drawn_afresh_in_training_and_stored_for_use(settings):
    made = task(settings)
    for name, value in made.network.stylegan_decoder.named_parameters():
        if name.endswith(".weight") and value.numel() == 1:
            torch.nn.init.ones_(value)  # strength of the noise, 0 at first
    samples = batch(made)
    first, second = (made._restore(samples, Progress(0, 1)).restored for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(*(made.network(samples["lq"])[0] for _ in range(2)))
