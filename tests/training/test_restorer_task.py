import cv2
import numpy as np
import pytest
import torch

from revisage.errors import CheckpointError, RecipeError
from revisage.models.checkpoint import save_weights
from revisage.models.nets.dlib_face_net import DlibFaceNet
from revisage.models.nets.restoration_unet import RestorationUNet
from revisage.models.nets.vgg import VGG16Features
from revisage.training.distributed import World
from revisage.training.task import Progress
from revisage.training.tasks.restorer import RestorerConfig


def write_descriptor(path):
    """Random weights in the layout that the reader knows: filters (height, width, in, out)."""
    torch.manual_seed(0)
    parts = {"conv.weight": "conv/filters", "conv.bias": "conv/bias", "scale": "scale/weights", "shift": "scale/biases"}
    arrays = {"quantisation": np.array("{}")}
    for key, value in DlibFaceNet().state_dict().items():
        name = key.replace("units.", "").replace("stem.", "conv32_down.")
        for mine, theirs in parts.items():
            if name.endswith(f".{mine}"):
                name = f"{name.removesuffix(mine)}{theirs}".replace(".", "/")
                break
        array = value.numpy()
        if key == "fc":
            array = np.random.default_rng(0).normal(0, 0.1, array.shape).astype(np.float32)
        arrays[name] = (
            array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.reshape(-1) if array.ndim == 3 else array
        )
    np.savez(path, **arrays)
    return path


@pytest.fixture
def settings(tmp_path):
    for folder in ("crops", "lq"):
        (tmp_path / folder).mkdir()
        for name, side in (("a", 64), ("b", 32)):
            image = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), image)
    torch.manual_seed(0)
    arrays = {key: value.numpy() for key, value in VGG16Features(1).state_dict().items()}
    np.savez(tmp_path / "vgg.npz", **arrays)
    return {
        "kind": "restorer",
        "crops": [tmp_path / "crops"],
        "size": 64,
        "patch": 32,
        "network": {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]},
    }


@pytest.fixture
def perceptual(tmp_path):
    torch.manual_seed(0)
    arrays = {key: value.numpy() for key, value in VGG16Features(1).state_dict().items()}
    np.savez(tmp_path / "vgg.npz", **arrays)
    return {"network": "vgg16", "file": tmp_path / "vgg.npz", "stages": 1, "patch": 16}


def task(settings, **changes):
    return RestorerConfig.model_validate(settings | changes).build(seed=0)


def batch(made):
    return made.collate([made.dataset[index] for index in range(4)])


def steps(made, samples=None, images=0, step=1):
    torch.manual_seed(0)
    return dict(made.optimizer_steps(samples or batch(made), Progress(images, step)))


def test_the_terms_are_weighted_by_the_recipe(settings, perceptual):
    made = task(settings, losses={"pixel": {"weight": 2.0}, "perceptual": perceptual})
    single = task(settings, losses={"pixel": {"weight": 1.0}})
    terms = steps(made)["generator"]
    assert set(terms) == {"pixel", "perceptual"}
    assert torch.allclose(terms["pixel"], 2 * steps(single)["generator"]["pixel"])


def test_a_term_left_out_is_not_built(settings):
    made = task(settings, losses={"pixel": {}})
    assert set(made.comparisons) == {"pixel"}
    assert set(made.networks) == {"generator"}


def test_the_perceptual_term_reaches_the_network(settings, perceptual):
    made = task(settings, losses={"perceptual": perceptual})
    torch.nn.init.normal_(made.network.tail.weight, std=0.1)
    sum(steps(made)["generator"].values()).backward()
    assert made.network.tail.weight.grad.abs().sum() > 0


def test_enlarged_originals_have_no_term_of_fine_detail(settings):
    made = task(settings, losses={"frequency": {}})
    samples = batch(made)
    samples["detail"] = torch.zeros(4)
    assert float(steps(made, samples)["generator"]["frequency"].detach()) == 0


def test_enlarged_originals_are_compared_by_features_at_half_their_size(settings, perceptual):
    made = task(settings, losses={"perceptual": perceptual | {"patch": None}})
    samples = batch(made)
    checkers = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 0.2 - 0.1  # nothing is left of it at half the size
    samples["lq"] = samples["gt"] + checkers
    for detail, seen in ((torch.ones(4), True), (torch.zeros(4), False)):
        samples["detail"] = detail
        assert (float(steps(made, samples)["generator"]["perceptual"].detach()) > 1e-4) == seen
    samples["lq"] = samples["gt"].flip(-1)
    assert float(steps(made, samples)["generator"]["perceptual"].detach()) > 1e-2


def test_a_recipe_may_ask_for_true_colors(settings):
    made = task(settings, losses={"chroma": {"weight": 2.0}})
    samples = batch(made)
    samples["lq"] = samples["gt"] + torch.tensor([0.0, 0.0, 0.1])[:, None, None]  # too blue
    blue, red = (1 - 0.114) / 1.772, -0.114 / 1.402
    expected = 2 * 0.1 * (abs(blue) + abs(red)) / 2
    assert float(steps(made, samples)["generator"]["chroma"].detach()) == pytest.approx(expected, rel=1e-4)


def test_a_recipe_may_ask_for_less_of_a_lattice(settings):
    made = task(settings, patch=64, losses={"lattice": {"weight": 2.0}})
    samples = batch(made)
    samples["lq"] = samples["gt"] + (torch.arange(64) % 2 * 0.2 - 0.1)
    assert float(steps(made, samples)["generator"]["lattice"].detach()) == pytest.approx(2 * 0.1, rel=0.2)


def test_a_lattice_needs_patches_that_show_it(settings):
    with pytest.raises(ValueError, match=r"losses\.lattice needs samples of at least 64 pixels, they have 32"):
        RestorerConfig(**settings, losses={"lattice": {}})


def test_a_recipe_may_ask_for_structural_similarity(settings):
    made = task(settings, losses={"ssim": {"weight": 2.0}})
    samples = batch(made)
    samples["lq"] = samples["gt"].clone()
    assert float(steps(made, samples)["generator"]["ssim"].detach()) == pytest.approx(0, abs=1e-6)
    samples["lq"] = -samples["gt"]
    assert 2 < float(steps(made, samples)["generator"]["ssim"].detach()) < 4


def test_a_recipe_may_ask_that_no_face_loses_structural_similarity(settings):
    made = task(settings, losses={"ssim": {"above_input": 0.0}})
    samples = batch(made)
    assert float(steps(made, samples)["generator"]["ssim"].detach()) == 0  # untrained, it changes nothing
    torch.nn.init.constant_(made.network.tail.bias, 0.0)
    torch.nn.init.normal_(made.network.tail.weight, std=3.0)
    worse = float(steps(made, samples)["generator"]["ssim"].detach())
    assert worse > 0.01
    more = task(settings, losses={"ssim": {"above_input": 0.1}})
    assert float(steps(more, samples)["generator"]["ssim"].detach()) == pytest.approx(0.1, abs=1e-6)
    more.network.load_state_dict(made.network.state_dict())
    assert float(steps(more, samples)["generator"]["ssim"].detach()) == pytest.approx(worse + 0.1, abs=0.05)


def test_a_face_may_gain_structural_similarity_at_no_cost(settings):
    made = task(settings, losses={"ssim": {"above_input": 0.0}})
    samples = batch(made)
    samples["lq"] = samples["gt"] + 0.5  # brighter, so less alike
    torch.nn.init.constant_(made.network.tail.bias, -0.5)
    assert float(steps(made, samples)["generator"]["ssim"].detach()) == 0


def test_an_identity_term_needs_patches_that_show_the_face(settings, tmp_path):
    descriptor = write_descriptor(tmp_path / "descriptor.npz")
    identity = {"network": "descriptor", "file": descriptor}
    blind = task(settings, losses={"identity": identity})
    assert float(steps(blind)["generator"]["identity"].detach()) == 0
    seeing = task(settings, patch=64, losses={"identity": identity})
    torch.nn.init.normal_(seeing.network.tail.weight, std=0.1)
    assert float(steps(seeing)["generator"]["identity"].detach()) > 0.01


def test_a_coarse_to_fine_network_is_shown_the_whole_face_and_works_out_the_patch(settings):
    levels = {"widths": [8, 8], "blocks": [1, 1], "unshuffle": 1}
    made = task(settings, network={"type": "CoarseToFineUNet", "coarse": levels, "fine": levels})
    samples = batch(made)
    assert (samples["lq"].shape, samples["gt"].shape) == ((4, 3, 64, 64), (4, 3, 32, 32))
    expected = [
        (face[:, int(top) : int(top) + 32, int(left) : int(left) + 32] - gt).abs().mean()
        for face, gt, (left, top) in zip(samples["lq"], samples["gt"], samples["corner"].tolist(), strict=True)
    ]
    assert made.image_grid(samples).shape == (64, 128, 3)
    samples["detail"] = torch.ones(4)
    found = steps(made, samples)["generator"]["pixel"]  # untrained, it hands the input on
    torch.testing.assert_close(found.detach(), torch.stack(expected).mean())


def test_a_coarse_to_fine_network_takes_samples_that_are_whole_faces(settings):
    levels = {"widths": [8, 8], "blocks": [1, 1], "unshuffle": 1}
    made = task(settings, patch=64, network={"type": "CoarseToFineUNet", "coarse": levels, "fine": levels})
    samples = batch(made)
    expected = steps(made, samples)["generator"]["pixel"]
    del samples["corner"]
    assert torch.equal(steps(made, samples)["generator"]["pixel"], expected)
    assert made.image_grid(samples).shape == (128, 256, 3)


def test_a_patch_that_the_fine_half_cannot_work_out_is_refused(settings):
    coarse, fine = {"widths": [8], "blocks": [1]}, {"widths": [8, 8], "blocks": [1, 1]}
    network = {"type": "CoarseToFineUNet", "coarse": coarse, "fine": fine}
    with pytest.raises(RecipeError, match=r"task\.patch: the network needs a multiple of 4, not 30"):
        task(settings, patch=30, network=network)


@pytest.mark.parametrize("half", ["coarse", "fine"])
def test_each_half_of_a_coarse_to_fine_network_can_begin_with_weights_of_its_own(settings, tmp_path, half):
    levels = {"widths": [8, 8], "blocks": [1, 1]}
    start = RestorationUNet(**levels)
    torch.nn.init.normal_(start.tail.weight, std=0.1)
    save_weights(tmp_path / "start.safetensors", start.state_dict())
    network = {"type": "CoarseToFineUNet", "coarse": levels, "fine": levels, "factor": 2}
    made = task(settings, network=network | {f"{half}_weights": tmp_path / "start.safetensors"})
    x = torch.rand(1, 3, 32, 32)
    enlarge = torch.nn.Upsample(scale_factor=2, mode="bilinear")
    small = torch.nn.functional.avg_pool2d(x, 2)
    expected = start(x) if half == "fine" else x + enlarge(start(small) - small)
    torch.testing.assert_close(made.network(x), expected)
    assert "fine_weights" not in made.header().arguments


def test_weights_that_fit_neither_half_are_refused(settings, tmp_path):
    save_weights(tmp_path / "start.safetensors", RestorationUNet((8,), (1,)).state_dict())
    network = {"type": "CoarseToFineUNet", "fine_weights": tmp_path / "start.safetensors"}
    with pytest.raises(CheckpointError, match="does not fit"):
        task(settings, network=network)


def test_the_game_gives_each_side_its_step(settings):
    made = task(settings, losses={"pixel": {}, "adversarial": {"r1": 1.0, "r1_every": 2}})
    assert set(made.networks) == {"generator", "discriminator"}
    assert {who: set(terms) for who, terms in steps(made, step=1).items()} == {
        "generator": {"pixel", "adversarial"},
        "discriminator": {"discriminator"},
    }
    assert set(steps(made, step=2)["discriminator"]) == {"discriminator", "r1"}


def test_the_game_begins_when_the_recipe_says(settings):
    made = task(settings, losses={"pixel": {}, "adversarial": {"start_at": 100}})
    assert set(steps(made, images=99)) == {"generator"}
    assert set(steps(made, images=100)) == {"generator", "discriminator"}


def test_the_generators_step_leaves_no_gradient_in_the_discriminator(settings):
    made = task(settings, losses={"adversarial": {"r1": 0}})
    who, terms = next(made.optimizer_steps(batch(made), Progress(0, 1)))
    sum(terms.values()).backward()
    assert who == "generator"
    assert all(parameter.grad is None for parameter in made.networks["discriminator"].parameters())


def test_the_discriminators_step_leaves_no_gradient_in_the_generator(settings):
    made = task(settings, losses={"adversarial": {}})
    sum(steps(made, step=16)["discriminator"].values()).backward()
    assert all(parameter.grad is None for parameter in made.network.parameters())


def test_enlarged_originals_are_no_example_of_fine_detail_for_the_discriminator(settings):
    made = task(
        settings, losses={"adversarial": {"r1": 0, "discriminator": {"type": "PatchDiscriminator", "scales": 1}}}
    )
    samples = batch(made)
    samples["detail"] = torch.zeros(4)
    terms = steps(made, samples)
    assert float(terms["discriminator"]["discriminator"].detach()) == 0
    assert float(terms["generator"]["adversarial"].detach()) == 0


def test_the_pyramid_is_taken_away_when_the_recipe_says(settings):
    small = {"out_size": 64, "num_style_feat": 8, "narrow": 0.03125, "num_mlp": 1, "channel_multiplier": 1}
    network = {"type": "GFPGANv1Clean", **small}
    made = task(settings, patch=64, network=network, losses={"pyramid": {"until": 100}})
    assert float(steps(made, images=100)["generator"]["pyramid"].detach()) > 0
    assert float(steps(made, images=101)["generator"]["pyramid"].detach()) == 0


def test_an_original_without_partner_is_named(settings, tmp_path):
    (tmp_path / "lq" / "b.png").unlink()
    with pytest.raises(RecipeError, match=r"task\.validation\.set: .*b\.png has no partner"):
        task(settings, validation={"set": {"gt": tmp_path / "crops", "lq": tmp_path / "lq"}})


def test_an_untrained_network_scores_like_its_input(settings, tmp_path):
    made = task(settings, validation={"set": {"gt": tmp_path / "crops", "lq": tmp_path / "lq"}})
    found = made.validate(made.network, World())
    assert found.metrics["set/ssim"] == found.metrics["set/input_ssim"]
    assert found.image_grid.shape == (128, 192, 3)


@pytest.mark.parametrize("kind", ["RestorationUNet", "GFPGANv1Clean"])
def test_the_header_is_enough_to_build_the_network_again(settings, kind):
    from revisage.models.architectures import network_class

    small = {"out_size": 32, "num_style_feat": 8, "narrow": 0.03125, "num_mlp": 1, "channel_multiplier": 1}
    network = {"type": kind} | (small if kind == "GFPGANv1Clean" else {"widths": [8], "blocks": [1]})
    made = task(settings, network=network, size=32)
    header = made.header()
    again = network_class(header.architecture)(**header.arguments)
    assert again.state_dict().keys() == made.network.state_dict().keys()
