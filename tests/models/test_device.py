import subprocess
import sys

import onnxruntime
import pytest
import torch

from revisage.errors import DeviceError
from revisage.models.device import choose_device, devices


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_auto_says_what_it_chose_and_why(backend):
    config = choose_device(backend=backend)
    assert config.device == devices(backend)[0]
    assert config.dtype == "float32"
    assert config.reason.startswith(config.device)
    assert backend in config.reason


def test_accelerators_of_onnxruntime(monkeypatch):
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    assert devices() == ["cuda", "tensorrt", "cpu"]
    assert choose_device().device == "cuda"
    assert choose_device("cuda:1").kind == "cuda"
    assert choose_device("tensorrt").device == "tensorrt"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there[::2])
    assert choose_device().device == "cpu"  # engines are built on request only


def test_accelerators_of_torch(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device(backend="torch").device == "cuda"
    assert choose_device("cuda:0", "bfloat16", "torch").dtype == "bfloat16"
    with pytest.raises(DeviceError, match="CUDA devices here: 1"):
        choose_device("cuda:1", backend="torch")


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "cpu,cuda", "mps:1:2"])
def test_unknown_devices(backend, device):
    with pytest.raises(DeviceError, match="unknown device"):
        choose_device(device, backend=backend)


def test_absent_devices_and_formats():
    with pytest.raises(DeviceError, match="no device 'coreml' for onnxruntime on this machine; it has cpu"):
        choose_device("coreml")
    with pytest.raises(DeviceError, match="unknown dtype 'int4'"):
        choose_device(dtype="int4")
    with pytest.raises(DeviceError, match=r'bfloat16 needs torch: pip install "revisage\[torch\]"'):
        choose_device(dtype="bfloat16")


def test_without_torch_the_error_says_what_to_install(tmp_path):
    code = (
        "import sys, pathlib; sys.modules['torch'] = None;"
        "from revisage.models.backends import open_network;"
        "open_network(pathlib.Path('gfpgan.pth'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("revisage.errors.DeviceError: gfpgan.pth")
    assert 'pip install "revisage[torch]"' in line
    assert ".onnx" in line
