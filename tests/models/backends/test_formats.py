import logging

import numpy as np
import pytest
import torch
from torch import nn

from revisage.errors import InputError
from revisage.models import device
from revisage.models.backends import formats, open_network
from revisage.models.backends.torch import Compiled, TorchNetwork
from revisage.models.checkpoint import Header, save_weights
from revisage.models.device import DeviceConfig, choose_device
from revisage.models.fetch import path_of
from revisage.models.nets.restoration_unet import RestorationUNet

CPU = DeviceConfig("torch", "cpu", "float32", "cpu: requested; float32: exact; by torch")
HEADER = Header("RestorationUNet", {"widths": [8], "blocks": [1]}, 32)


class Rounding(nn.Module):
    """Keeps the image, up to an error in half precision."""

    def __init__(self, error):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.error = error

    def forward(self, images):
        return images + self.error * (self.conv(images).dtype != torch.float32) * images.sign()


@pytest.fixture
def fast_cpu(monkeypatch):
    monkeypatch.setattr(formats, "fast_formats", lambda _: ("float16", "bfloat16"))


def test_the_first_format_that_keeps_45_db_is_taken(fast_cpu, caplog):
    with caplog.at_level(logging.INFO, "revisage"):
        chosen = formats.choose_format(TorchNetwork(HEADER, CPU, Rounding(0.005)))
    assert chosen.device.dtype == "float16"
    assert "float16: fast, float16 keeps 5" in chosen.device.reason
    assert caplog.messages[0].startswith("RestorationUNet runs in float16 on cpu: float16 keeps ")


def test_float32_where_no_format_keeps_45_db(fast_cpu):
    chosen = formats.choose_format(TorchNetwork(HEADER, CPU, Rounding(0.05)))
    assert chosen.device.dtype == "float32"
    assert "bfloat16 keeps 3" in chosen.device.reason


def test_fast_is_an_option_of_opening(tmp_path, monkeypatch):
    save_weights(tmp_path / "w.safetensors", RestorationUNet((8,), (1,)).state_dict(), HEADER)
    monkeypatch.setattr(device, "_cpu_multiplies_bfloat16", lambda: True)
    assert open_network(tmp_path / "w.safetensors", "cpu", fast=True).device.dtype == "bfloat16"
    monkeypatch.setattr(device, "_cpu_multiplies_bfloat16", lambda: False)
    opened = open_network(tmp_path / "w.safetensors", "cpu", fast=True)
    assert opened.device.dtype == "float32"
    assert "no faster format here" in opened.device.reason
    assert open_network(path_of("embedded-identity"), "cpu", fast=True).device.backend == "onnxruntime"
    with pytest.raises(InputError, match="fast chooses the number format itself"):
        open_network(tmp_path / "w.safetensors", "cpu", "bfloat16", fast=True)


def test_files_with_weights_go_to_the_accelerator_that_torch_alone_has(monkeypatch):
    monkeypatch.setattr(
        "revisage.models.backends.devices", lambda backend: {"torch": ["xpu", "cpu"]}.get(backend, ["cpu"])
    )
    monkeypatch.setattr(device, "devices", lambda backend: {"torch": ["xpu", "cpu"]}.get(backend, ["cpu"]))
    opened = []
    monkeypatch.setattr("revisage.models.backends.torch.open_weights", lambda *given, **_: opened.append(given[1]))
    monkeypatch.setattr("revisage.models.backends.formats.choose_format", lambda network: network)
    open_network(path_of("embedded-identity"), fast=True)
    assert [(config.backend, config.device, config.dtype) for config in opened] == [("torch", "xpu", "float16")]


def test_auto_is_half_precision_on_accelerators_of_torch_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device(backend="torch").dtype == "float16"
    assert choose_device("cpu", backend="torch").dtype == choose_device("cpu").dtype == "float32"
    assert choose_device("cuda", "bfloat16", "torch").dtype == "bfloat16"
    assert choose_device("cpu").backend == "onnxruntime"


def test_compiled_networks_take_batches_of_powers_of_two(monkeypatch):
    seen = []

    def module(batch):
        seen.append(len(batch))
        return batch * 2

    network = TorchNetwork(HEADER, CPU, nn.Identity(), Compiled(module))
    images = np.random.default_rng(0).random((5, 3, 4, 4), np.float32)
    np.testing.assert_array_equal(network(images)[0], images * 2)
    network(images[:1])
    assert seen == [8, 1]
    with pytest.raises(InputError, match="only networks that torch runs are compiled"):
        open_network(path_of("embedded-identity"), "cpu", compile=True)


@pytest.mark.slow
def test_compiled_networks_give_the_same(tmp_path):
    save_weights(tmp_path / "w.safetensors", RestorationUNet((8,), (1,)).state_dict(), HEADER)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 3, 32, 32)).astype(np.float32)
    plain, compiled = (
        open_network(tmp_path / "w.safetensors", "cpu", compile=value)(images)[0] for value in (False, True)
    )
    np.testing.assert_allclose(compiled, plain, atol=1e-5)
