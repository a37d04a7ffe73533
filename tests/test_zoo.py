import numpy as np
import pytest
import torch

from revisage import zoo
from revisage.errors import CheckpointError, DeviceError, UnknownModelError
from revisage.files.checkpoint import save_weights
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


def test_a_pickle_is_refused_by_its_name(tmp_path):
    torch.save({}, tmp_path / "model.pth")
    with pytest.raises(UnknownModelError, match=r"only \.safetensors"):
        zoo.load(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "names no known architecture"),
        ({"architecture": "Painter"}, "'Painter'; known: RestorationUNet"),
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
