import json
from functools import partial

import numpy as np
import pytest
import torch
from golden_weights import golden_input, golden_state

from revisage.errors import RecipeError
from revisage.evaluation.metrics.networks import read_arcface, read_descriptor, read_vgg16
from revisage.models.checkpoint import save_weights
from revisage.models.nets.arcface import ResNetArcFace
from revisage.models.nets.dlib_face_net import DlibFaceNet
from revisage.models.nets.vgg import VGG16Features, VGG19Features
from revisage.training.config import read_file
from revisage.training.losses.features import read_vgg19

SETTING = "task.features"
READERS = {
    "vgg16": partial(read_vgg16, stages=1),
    "vgg19": partial(read_vgg19, layers=("conv1_2",)),
    "arcface": read_arcface,
    "descriptor": read_descriptor,
}


def write_vgg16(path, leave_out=""):
    state = golden_state(VGG16Features(2).state_dict())
    np.savez(path, **{key: value.numpy().astype(np.float16) for key, value in state.items() if key != leave_out})
    return state


def write_vgg19(path):
    state = golden_state(VGG19Features(("conv2_1",)).state_dict())
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return state


def write_descriptor(path):
    """As the published arrays are: filters (height, width, in, out), 8 bits with scale and offset."""
    generator = torch.Generator().manual_seed(0)
    arrays, ranges, expected = {}, {}, {}
    for key, value in DlibFaceNet().state_dict().items():
        name = key.removeprefix("units.").replace("stem", "conv32_down").replace(".", "/")
        name = name.replace("conv/weight", "conv/filters")
        for mine, theirs in (("/scale", "/scale/weights"), ("/shift", "/scale/biases")):
            name = name.removesuffix(mine) + theirs if name.endswith(mine) else name
        array = torch.randint(0, 256, value.shape, dtype=torch.uint8, generator=generator)
        expected[key] = array.float() * 0.001 - 0.1
        if array.ndim == 4:
            array = array.permute(2, 3, 1, 0)
        elif array.ndim == 3:
            array = array.flatten()
        arrays[name], ranges[name] = array.numpy(), {"scale": 0.001, "min": -0.1}
    arrays["conv32_down/conv/bias"] = np.arange(32, dtype=np.float32)
    expected["stem.conv.bias"] = torch.arange(32.0)
    del ranges["conv32_down/conv/bias"]
    np.savez(path, quantisation=np.array(json.dumps(ranges)), **arrays)
    return expected


def assert_holds(network, state):
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, state[key].to(value.dtype), rtol=1e-3, atol=1e-4)


def test_vgg16_is_read_from_half_precision_arrays(tmp_path):
    state = write_vgg16(tmp_path / "vgg.npz")
    network = read_vgg16(tmp_path / "vgg.npz", stages=1)
    assert_holds(network, state)
    assert [tuple(features.shape) for features in network(torch.zeros(1, 3, 8, 8))] == [(1, 64, 8, 8)]


def test_vgg19_is_read_up_to_the_last_layer_asked_for(tmp_path):
    state = write_vgg19(tmp_path / "vgg19.pth")
    network = read_vgg19(tmp_path / "vgg19.pth", layers=("conv1_1", "conv1_2"))
    assert_holds(network, state)
    assert list(network.state_dict()) == [f"features.{place}.{part}" for place in (0, 2) for part in ("weight", "bias")]


def test_vgg19_may_be_kept_as_safetensors(tmp_path):
    state = golden_state(VGG19Features(("conv1_1",)).state_dict())
    save_weights(tmp_path / "vgg19.safetensors", state)
    assert_holds(read_vgg19(tmp_path / "vgg19.safetensors", layers=("conv1_1",)), state)


def test_arcface_is_read_from_a_file_of_parallel_training(tmp_path):
    network = ResNetArcFace("IRBlock", (2, 2, 2, 2), use_se=False).double().eval()
    network.load_state_dict(golden_state(network.state_dict()))
    torch.save({f"module.{key}": value for key, value in network.state_dict().items()}, tmp_path / "arcface.pth")
    face = golden_input(1, 1, 128, 128)
    actual = read_arcface(tmp_path / "arcface.pth").double()(face)
    torch.testing.assert_close(actual, network(face), rtol=0, atol=1e-4)


def test_the_descriptor_is_read_from_eight_bits(tmp_path):
    expected = write_descriptor(tmp_path / "descriptor.npz")
    network = read_descriptor(tmp_path / "descriptor.npz")
    assert set(network.state_dict()) == set(expected)
    assert_holds(network, expected)


@pytest.mark.parametrize("kind", ["vgg16", "vgg19", "descriptor"])
def test_networks_of_losses_are_frozen_and_examining(kind, tmp_path):
    path = tmp_path / ("weights.pth" if kind == "vgg19" else "weights.npz")
    {"vgg16": write_vgg16, "vgg19": write_vgg19, "descriptor": write_descriptor}[kind](path)
    network = READERS[kind](path)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def refusal(read, path):
    with pytest.raises(RecipeError) as caught:
        read_file(read, path, SETTING)
    message = str(caught.value)
    assert message.startswith(SETTING)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_is_not_there_is_named(kind, tmp_path):
    assert "nowhere.bin" in refusal(READERS[kind], tmp_path / "nowhere.bin")


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half an archive", b"text"], ids=["empty", "half", "text"])
def test_a_damaged_file_is_named(kind, content, tmp_path):
    (tmp_path / "bad.bin").write_bytes(content)
    assert "bad.bin" in refusal(READERS[kind], tmp_path / "bad.bin")


@pytest.mark.parametrize("kind", ["vgg16", "descriptor"])
def test_a_single_array_is_no_set_of_weights(kind, tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert "one.npy" in refusal(READERS[kind], tmp_path / "one.npy")


@pytest.mark.parametrize("kind", READERS)
def test_another_networks_file_is_refused(kind, tmp_path):
    if kind in ("vgg16", "descriptor"):
        path = tmp_path / "other.npz"
        np.savez(path, fc=np.zeros((2, 2)), quantisation=np.array("{}"), other=np.zeros(2))
    else:
        path = tmp_path / "other.pth"
        torch.save({"fc": torch.zeros(2, 2)}, path)
    assert "other." in refusal(READERS[kind], path)


def test_a_missing_layer_is_named(tmp_path):
    write_vgg16(tmp_path / "vgg.npz", leave_out="conv1_2.bias")
    assert "conv1_2.bias" in refusal(READERS["vgg16"], tmp_path / "vgg.npz")


def test_a_vgg_of_another_depth_is_refused(tmp_path):
    """VGG16 has poolings where VGG19 still has convolutions: its keys do not fit, though many of them are the same."""
    places = [0, 2, 5, 7, 10, 12, 14, 17]
    torch.save(
        {f"features.{place}.{part}": torch.zeros(1) for place in places for part in ("weight", "bias")},
        tmp_path / "vgg16.pth",
    )
    message = refusal(partial(read_vgg19, layers=("conv3_4",)), tmp_path / "vgg16.pth")
    assert "features.16.weight" in message
