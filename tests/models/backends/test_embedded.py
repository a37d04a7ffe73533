"""The embedded models: the same by onnxruntime and by torch, and still good to train on from."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from locations import EXAMPLES
from revisage import read_image
from revisage.models.backends import open_network
from revisage.models.build import build
from revisage.models.fetch import path_of
from revisage.models.registry import MODELS
from revisage.training.tasks.networks import read_initial_weights

EMBEDDED = ["embedded", "embedded-detector", "embedded-identity", "embedded-background", "embedded-repair"]


def images(name: str, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(3)
    if name == "embedded-detector":
        photo = read_image(EXAMPLES / "photo.jpg")
        return np.repeat(photo.transpose(2, 0, 1)[None], count, 0).astype(np.float32)
    if name in ("embedded-background", "embedded-repair"):
        return rng.uniform(0, 1, (count, 3, 64, 96)).astype(np.float32)
    return rng.uniform(-1, 1, (count, 3, 512, 512)).astype(np.float32)


@pytest.mark.parametrize("name", EMBEDDED)
def test_both_backends_agree(name):
    given = images(name)
    outputs = open_network(path_of(name))(given)
    network, _ = build(path_of(name))
    by_torch = open_by_torch(name)(given)
    assert len(outputs) == len(by_torch)
    for one, other in zip(outputs, by_torch, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert sum(value.numel() for value in network.parameters()) == MODELS[name].parameters


def open_by_torch(name):
    from revisage.models.backends.torch import open_weights
    from revisage.models.device import choose_device

    return open_weights(path_of(name), choose_device("cpu", backend="torch"))


def test_half_precision_runs_by_torch():
    network = open_network(path_of("embedded"), dtype="bfloat16")
    assert (network.device.backend, network.device.dtype) == ("torch", "bfloat16")
    (output,) = network(images("embedded", 1))
    (exact,) = open_network(path_of("embedded"))(images("embedded", 1))
    assert 0 < np.abs(output - exact).max() < 0.1


@pytest.mark.parametrize("name", EMBEDDED)
def test_batches_of_any_size_and_images_of_the_sizes_of_each_role(name):
    network = open_network(path_of(name))
    three = images(name, 3)
    together = network(three)
    for one, all_of_them in zip(network(three[:1]), together, strict=True):
        np.testing.assert_allclose(one, all_of_them[:1], atol=1e-5)
    if name == "embedded-detector":
        boxes, scores, landmarks = network(three[:1, :, :65, :97])
        cells = 9 * 13 + 5 * 7 + 3 * 4
        assert (boxes.shape, scores.shape, landmarks.shape) == (
            (1, 2 * cells, 4),
            (1, 2 * cells, 2),
            (1, 2 * cells, 10),
        )
        np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    if name == "embedded-identity":
        assert network(three[:, :, :256, :256])[0].shape == (3, 128)
        np.testing.assert_allclose(np.linalg.norm(together[0], axis=1), 1, atol=1e-5)


def test_headers_say_what_the_files_are():
    headers = {name: open_network(path_of(name)).header for name in EMBEDDED}
    assert [header.architecture for header in headers.values()] == [MODELS[name].architecture for name in EMBEDDED]
    assert [header.size for header in headers.values()] == [512, None, None, None, None]
    for name, header in headers.items():
        assert header.notes["name"] == name
        assert header.notes["license"] == "Apache-2.0"
        assert header.notes["channels"] == "rgb"
        assert len(header.notes["source_sha256"]) == 64


@pytest.mark.parametrize("name", EMBEDDED)
def test_trainings_can_start_from_them(name):
    initial = read_initial_weights(Path(name), "task.initial_weights")
    network, _ = build(path_of(name))
    assert {key: value.shape for key, value in initial.items()} == {k: v.shape for k, v in network.state_dict().items()}


def test_weights_can_be_trained_on():
    network, header = build(path_of("embedded"))
    assert header.architecture == "CoarseToFineUNet"
    network.train().requires_grad_(True)
    network(torch.zeros(1, 3, 128, 128)).square().mean().backward()
    assert all(value.grad is not None for value in network.parameters())


def test_they_run_without_torch():
    code = (
        "import sys, numpy; from revisage.models.backends import open_network;"
        "from revisage.models.fetch import path_of;"
        "print(open_network(path_of('embedded'))(numpy.zeros((1, 3, 512, 512), 'f'))[0].shape,"
        "{'torch', 'onnx', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 3, 512, 512) set()"
