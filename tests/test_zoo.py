import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from revisage import zoo
from revisage.errors import CheckpointError, DeviceError, UnknownModelError
from revisage.files.checkpoint import save_weights
from revisage.nets.gfpgan import GFPGANv1Clean
from revisage.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.nets.restoration_unet import RestorationUNet

SMALL = {"widths": [8, 8], "blocks": [1, 1]}


def written(path, config, state=None):
    save_weights(path, state or RestorationUNet(**SMALL).state_dict(), config)
    return path


@pytest.mark.parametrize("name", zoo.MODELS)
def test_every_named_model_is_in_the_package_and_fits_its_architecture(name):
    network, config = zoo.build(zoo.weight_file(name))
    assert type(network).__name__ == zoo.MODELS[name].architecture == config["architecture"]


@pytest.mark.parametrize(("name", "limit"), [("embedded", 8_000_000), ("embedded-detector", 1_000_000)])
def test_embedded_weights_stay_small(name, limit):
    assert zoo.weight_file(name).stat().st_size <= limit


def test_a_file_of_ones_own_loads(tmp_path):
    path = written(tmp_path / "own.safetensors", {"architecture": "RestorationUNet", "arguments": SMALL, "size": 64})
    result = zoo.load(path, device="cpu")(np.zeros((40, 40, 3), np.uint8), aligned=True)
    assert result.image.shape == (64, 64, 3)


def test_a_file_of_ones_own_without_a_header_loads(tmp_path):
    network, config = zoo.build(written(tmp_path / "own.safetensors", {}))
    assert isinstance(network, RestorationUNet)
    assert (config["arguments"]["widths"], config["size"]) == ([8, 8], 512)


def test_half_precision_weights_run_in_float32(tmp_path):
    state = {key: value.half() for key, value in RestorationUNet(**SMALL).state_dict().items()}
    path = written(tmp_path / "h.safetensors", {"architecture": "RestorationUNet", "arguments": SMALL}, state)
    assert {p.dtype for p in zoo.build(path)[0].parameters()} == {torch.float32}


def test_bfloat16_on_request_gives_nearly_the_same_picture():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    exact, half = (zoo.load(device="cpu", dtype=d)(picture, aligned=True).image for d in ("float32", "bfloat16"))
    assert np.abs(exact.astype(int) - half.astype(int)).mean() < 2
    assert not np.array_equal(exact, half)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UnknownModelError, match="no model or file 'embeded'; models: embedded, embedded-detector"):
        zoo.load("embeded")


def test_a_detector_is_no_restorer():
    with pytest.raises(UnknownModelError, match="embedded-detector is a RetinaFace, not a restorer"):
        zoo.load("embedded-detector")


def small(kind):
    """A network of 32-pixel faces; seeded, so that restored faces can be compared."""
    torch.manual_seed(0)
    return kind(32, 8, num_mlp=2, narrow=0.0625, input_is_latent=True, different_w=True, sft_half=True)


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("kind", [GFPGANv1Clean, GFPGANv1])
def test_files_of_other_programs_load_by_their_keys(tmp_path, kind, suffix):
    network, path = small(kind).eval(), tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save({"params_ema": network.state_dict()}, path)
    restorer = zoo.load(path, device="cpu")
    assert restorer.size == 32
    crops = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(restorer.network(crops), network(crops)[0], rtol=1e-4, atol=1e-5)


def test_what_two_networks_look_like_is_decided_by_an_option(tmp_path):
    network, path = small(GFPGANBilinear).eval(), tmp_path / "w.pth"
    torch.save(network.state_dict(), path)
    crops = torch.rand(1, 3, 32, 32) * 2 - 1
    as_bilinear, as_original = (
        zoo.load(path, device="cpu", architecture=name).network(crops) for name in ("GFPGANBilinear", None)
    )
    torch.testing.assert_close(as_bilinear, network(crops)[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(as_original, as_bilinear, atol=1e-3)


def test_a_restored_face_of_a_foreign_file_is_as_large_as_its_network_makes_it(tmp_path):
    torch.save({"params": small(GFPGANv1Clean).state_dict()}, tmp_path / "w.pth")
    result = zoo.load(tmp_path / "w.pth", device="cpu")(np.zeros((40, 40, 3), np.uint8), aligned=True)
    assert result.image.shape == (32, 32, 3)


def test_an_incomplete_file_is_refused_by_its_keys(tmp_path):
    state = small(GFPGANv1Clean).state_dict()
    del state["final_conv.bias"]
    state["final_conv.weight"] = torch.zeros(1, 1, 3, 3)
    torch.save({"params": state | {"extra": torch.zeros(1)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        zoo.load(tmp_path / "w.pth")
    assert str(caught.value).endswith(
        "w.pth does not fit GFPGANv1Clean: 1 missing: final_conv.bias; 1 unexpected: extra; "
        "1 of another shape: final_conv.weight is (1, 1, 3, 3), not (16, 16, 3, 3)"
    )


@pytest.mark.parametrize(
    ("architecture", "message"), [("Painter", "no architecture 'Painter'"), ("GFPGANv1", "as its header says, not of")]
)
def test_an_architecture_that_cannot_be_is_refused(tmp_path, architecture, message):
    path = written(tmp_path / "own.safetensors", {"architecture": "RestorationUNet", "arguments": SMALL})
    with pytest.raises(CheckpointError, match=message):
        zoo.load(path, architecture=architecture)


def test_files_of_another_kind_are_refused_by_their_names(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UnknownModelError, match=r"weight files end in \.safetensors, \.pth"):
        zoo.load(tmp_path / "photo.jpg")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "Painter"}, "names no known architecture .*'Painter'; known: .*RestorationUNet"),
        ({"architecture": "RestorationUNet", "arguments": {"width": 3}}, "cannot be built as its header says"),
        ({"architecture": "RestorationUNet", "arguments": {"widths": [8], "blocks": [1]}}, "unexpected"),
    ],
)
def test_a_file_that_does_not_explain_itself_is_refused(tmp_path, config, message):
    with pytest.raises(CheckpointError, match=message):
        zoo.build(written(tmp_path / "bad.safetensors", config))


@pytest.mark.parametrize("settings", [{"device": "tpu"}, {"device": "cuda:99"}, {"dtype": "int8"}])
def test_what_this_machine_lacks_is_refused_in_one_line(settings):
    with pytest.raises(DeviceError) as caught:
        zoo.load(**settings)
    assert "\n" not in str(caught.value)
