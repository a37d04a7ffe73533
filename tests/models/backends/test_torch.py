import numpy as np
import pytest
import torch
from torch import nn

from revisage.errors import CheckpointError
from revisage.models.backends import open_network
from revisage.models.backends.torch import TorchNetwork, compile_mode, run_network
from revisage.models.checkpoint import Header, save_weights
from revisage.models.device import DeviceConfig
from revisage.models.nets.restoration_unet import RestorationUNet

EXACT = DeviceConfig("torch", "cpu", "float32", "test")
HALF = DeviceConfig("torch", "cpu", "float16", "test")


class Overflowing(nn.Module):
    """Overflows float16 where the image is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.constant_(self.conv.weight, 40000.0)
        self.seen: list[tuple[int, torch.dtype]] = []

    def forward(self, x):
        y = self.conv(x)
        self.seen.append((len(x), y.dtype))
        return y, y.mean((2, 3))


def test_images_that_overflow_half_precision_are_computed_again_in_float32():
    network = Overflowing()
    batch = torch.stack([torch.full((3, 4, 4), value) for value in (0.1, 1.0, 0.2)])
    images, means = run_network(network, batch, HALF)
    assert network.seen == [(3, torch.float16), (1, torch.float32)]
    assert images.dtype == means.dtype == torch.float32
    torch.testing.assert_close(means[:, 0], 3 * 40000 * torch.tensor([0.1, 1, 0.2]), rtol=1e-3, atol=0)


def test_exact_outputs_are_not_computed_again_whatever_they_are():
    network = Overflowing()
    images, _ = run_network(network, torch.full((1, 3, 4, 4), torch.inf), EXACT)
    assert not images.isfinite().any()
    assert len(network.seen) == 1


def test_arrays_in_and_out():
    network = TorchNetwork(Header("Overflowing"), EXACT, Overflowing())
    given = np.ones((2, 3, 4, 4), np.float32)
    given.flags.writeable = False
    outputs = network(given)
    assert [output.shape for output in outputs] == [(2, 3, 4, 4), (2, 3)]
    assert all(output.dtype == np.float32 and output.flags.c_contiguous for output in outputs)


@pytest.mark.parametrize(("error", "raised"), [("CUDA out of memory", MemoryError), ("bad size", CheckpointError)])
def test_errors_of_torch_are_named(error, raised):
    class Failing(nn.Module):
        def forward(self, _):
            raise RuntimeError(error)

    with pytest.raises(raised, match=error):
        TorchNetwork(Header("Failing"), EXACT, Failing())(np.zeros((1, 3, 4, 4), np.float32))


@pytest.mark.parametrize(
    ("version", "has_graphs"),
    [("2.13.0+cu130", True), ("2.13.0a0+git1", True), ("3.0.0", True), ("2.12.1", False), ("2.9.0", False)],
)
def test_graphs_are_recorded_where_torch_runs_them_in_any_thread(tmp_path, monkeypatch, version, has_graphs):
    modes = []
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch, "compile", lambda module, mode, **_: modes.append(mode) or module)
    header = Header("RestorationUNet", {"widths": [8], "blocks": [1]}, 32)
    save_weights(tmp_path / "w.safetensors", RestorationUNet((8,), (1,)).state_dict(), header)
    open_network(tmp_path / "w.safetensors", "cpu", compile=True)
    assert modes == ["reduce-overhead" if has_graphs else "default"]
    assert compile_mode("no version") == "default"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_files_run_by_torch(tmp_path, dtype):
    network = RestorationUNet((8,), (1,))
    save_weights(
        tmp_path / "w.safetensors", network.state_dict(), Header("RestorationUNet", {"widths": [8], "blocks": [1]}, 32)
    )
    opened = open_network(tmp_path / "w.safetensors", "cpu", dtype)
    assert (opened.header.size, opened.device.backend, opened.device.dtype) == (32, "torch", dtype)
    crops = np.random.default_rng(0).uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(crops)).numpy()
    np.testing.assert_allclose(opened(crops)[0], expected, atol=1e-6 if dtype == "float32" else 0.02)
    with pytest.raises(CheckpointError, match="`revisage export` makes them"):
        open_network(tmp_path / "w.safetensors", backend="onnxruntime")
