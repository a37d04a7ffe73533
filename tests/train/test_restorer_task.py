import cv2
import numpy as np
import pytest
import torch

from revisage.errors import RecipeError
from revisage.nets.vgg import VGG16Features
from revisage.train.restorer import RestorerConfig


@pytest.fixture
def settings(tmp_path):
    for folder in ("crops", "lq"):
        (tmp_path / folder).mkdir()
        for name, side in (("a", 64), ("b", 32)):
            picture = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), picture)
    torch.manual_seed(0)
    arrays = {key: value.numpy() for key, value in VGG16Features(1).state_dict().items()}
    np.savez(tmp_path / "vgg.npz", **arrays)
    return {
        "kind": "restorer",
        "crops": [tmp_path / "crops"],
        "size": 64,
        "patch": 32,
        "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
        "features": tmp_path / "vgg.npz",
        "feature_stages": 1,
        "feature_patch": 16,
    }


def task(settings, **changes):
    return RestorerConfig.model_validate(settings | changes).build(seed=0)


def batch(made):
    return made.collate([made.dataset[index] for index in range(4)])


def test_the_losses_are_weighted_by_the_recipe(settings):
    made = task(settings, pixel=2.0, perceptual=0.5)
    single = task(settings, pixel=1.0)
    terms = made.losses(made.network, batch(made))
    assert set(terms) == {"pixel", "perceptual"}
    assert torch.allclose(terms["pixel"], 2 * single.losses(made.network, batch(made))["pixel"])


def test_a_weight_of_zero_reads_no_features(settings):
    made = task(settings, perceptual=0, features="nowhere.npz")
    assert set(made.losses(made.network, batch(made))) == {"pixel"}


def test_the_perceptual_term_reaches_the_network_but_not_the_features(settings):
    made = task(settings, pixel=0, perceptual=1.0)
    torch.nn.init.normal_(made.network.tail.weight, std=0.1)
    sum(made.losses(made.network, batch(made)).values()).backward()
    assert made.network.tail.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in made.features.parameters())


def test_enlarged_originals_have_no_perceptual_term(settings):
    made = task(settings, pixel=0, perceptual=1.0)
    samples = batch(made)
    samples["detail"] = torch.zeros(4)
    assert float(made.losses(made.network, samples)["perceptual"]) == 0


def test_a_features_file_that_lacks_a_layer_is_named(settings, tmp_path):
    np.savez(tmp_path / "bad.npz", **{"conv1_1.weight": np.zeros(3)})
    with pytest.raises(RecipeError, match=r"bad\.npz does not hold VGG16 weights"):
        task(settings, perceptual=1.0, features=tmp_path / "bad.npz")


def test_an_original_without_partner_is_named(settings, tmp_path):
    (tmp_path / "lq" / "b.png").unlink()
    made = task(settings, validation={"set": {"gt": tmp_path / "crops", "lq": tmp_path / "lq"}})
    with pytest.raises(RecipeError, match="no partner for b"):
        made.validate(made.network)


def test_an_untrained_network_scores_like_its_input(settings, tmp_path):
    made = task(settings, validation={"set": {"gt": tmp_path / "crops", "lq": tmp_path / "lq"}})
    found = made.validate(made.network)
    assert found.metrics["set/ssim"] == found.metrics["set/input_ssim"]
    assert found.sheet.shape == (128, 192, 3)


@pytest.mark.parametrize("kind", ["RestorationUNet", "GFPGANv1Clean"])
def test_the_header_is_enough_to_build_the_network_again(settings, kind):
    from revisage.architectures.recognise import NETWORKS

    small = {"out_size": 32, "num_style_feat": 8, "narrow": 0.03125, "num_mlp": 1, "channel_multiplier": 1}
    network = {"type": kind} | (small if kind == "GFPGANv1Clean" else {"widths": [8], "blocks": [1]})
    made = task(settings, network=network)
    header = made.describe()
    again = NETWORKS[header["architecture"]](**header["arguments"])
    assert again.state_dict().keys() == made.network.state_dict().keys()
