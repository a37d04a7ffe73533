import subprocess
import sys

import numpy as np
import pytest
from graphs import DOUBLE, FLOAT, HALF, half_of, image_input, with_weight, write
from onnx import helper

from revisage.errors import CheckpointError, DeviceError, MissingWeightsError
from revisage.models.backends import open_network
from revisage.models.backends.onnxruntime import FOREIGN
from revisage.models.fetch import path_of
from revisage.process import is_crowded


def images(count=3, size=256):
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, size, size)).astype(np.float32)


@pytest.mark.parametrize("kind", [FLOAT, HALF, DOUBLE])
@pytest.mark.parametrize("batch", ["n", 1, 2])
def test_restorers_of_others_take_any_number_of_images(tmp_path, batch, kind):
    network = open_network(half_of(tmp_path / "r.onnx", batch, kind=kind))
    (output,) = network(images())
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, images() / 2, atol=1e-3 if kind == HALF else 1e-7)
    assert (network.header.architecture, network.header.size) == (FOREIGN, 256)
    assert network.device.device == "cpu"
    assert "onnxruntime" in network.device.reason


def test_another_range_and_order_of_channels_can_be_stated(tmp_path):
    network = open_network(half_of(tmp_path / "r.onnx"), input_range=(0, 255), channels="bgr")
    (output,) = network(images())
    np.testing.assert_allclose(output, ((images() + 1) * 127.5 / 2) / 127.5 - 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(), (1,), ("n",), (1, 1)], ids=str)
@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_a_second_number_is_the_fidelity(tmp_path, kind, shape):
    if shape == ("n",):
        shape = ("m",)
    path = with_weight(tmp_path / "r.onnx", kind, shape)
    network = open_network(path, fidelity=0.25)
    assert network.outputs == ("output",)  # the first of the shape of an image
    one = images(1)
    np.testing.assert_allclose(network(one)[0], one / 4, atol=1e-6)
    np.testing.assert_allclose(network(one, np.float32(0.75))[0], one * 0.75, atol=1e-6)


def test_what_is_no_restorer_gets_a_line_that_says_why(tmp_path):
    path = tmp_path / "x.onnx"
    half_of(path, size=300)
    with pytest.raises(CheckpointError, match=r"x\.onnx takes images of 300 x 300; restorers take squares of 256"):
        open_network(path)
    identity = helper.make_node("Identity", ["input"], ["output"])
    flat = helper.make_tensor_value_info("input", FLOAT, ["n", 512])
    write(path, [identity], [flat], [helper.make_tensor_value_info("output", FLOAT, ["n", 512])])
    with pytest.raises(CheckpointError, match=r"RGB images \(N, 3, H, W\); its inputs are input \['n', 512\]"):
        open_network(path)
    mean = helper.make_node("ReduceMean", ["input"], ["output"], keepdims=0)
    write(path, [mean], [image_input()], [helper.make_tensor_value_info("output", FLOAT, [])])
    with pytest.raises(CheckpointError, match=r"no output is an image \(N, 3, 256, 256\)"):
        open_network(path)
    add = helper.make_node("Add", ["input", "other"], ["output"])
    write(path, [add], [image_input(), image_input(name="other")], [image_input(name="output")])
    with pytest.raises(CheckpointError, match="only one number"):
        open_network(path)
    with pytest.raises(CheckpointError, match="was not exported by revisage"):
        open_network(half_of(path), role="embedder")


def test_upscalers_and_detectors_of_others(tmp_path):
    half_of(tmp_path / "u.onnx", size="s")
    np.testing.assert_allclose(open_network(tmp_path / "u.onnx", role="upscaler")(images(1, 12))[0], images(1, 12) / 2)
    nodes = [helper.make_node("Reshape", ["input", f"shape{n}"], [f"out{n}"]) for n in (10, 2, 4)]
    outputs = [helper.make_tensor_value_info(f"out{n}", FLOAT, ["n", "a", n]) for n in (10, 2, 4)]
    shapes = {f"shape{n}": np.array([1, -1, n]) for n in (10, 2, 4)}
    write(tmp_path / "d.onnx", nodes, [image_input(size="s")], outputs, shapes)
    rgb = np.arange(3 * 20 * 20, dtype=np.float32).reshape(1, 3, 20, 20)
    boxes, scores, landmarks = open_network(tmp_path / "d.onnx", role="detector")(rgb)
    bgr = (rgb[:, ::-1] - np.array([104, 117, 123], np.float32)[:, None, None]).ravel()
    assert [output.shape[-1] for output in (boxes, scores, landmarks)] == [4, 2, 10]
    np.testing.assert_array_equal(boxes.ravel(), bgr)


def test_damaged_files_and_wrong_calls_are_one_line(tmp_path):
    path = half_of(tmp_path / "r.onnx")
    whole = path.read_bytes()
    with pytest.raises(MissingWeightsError):
        open_network(tmp_path / "absent.onnx")
    for damaged in (b"", whole[: len(whole) // 2], b"\x00" * 100, b"PK\x03\x04" + whole):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"r\.onnx") as caught:
            open_network(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match=r"fails on images \(1, 3, 128, 128\)"):
        open_network(path)(images(1, 128))
    with pytest.raises(DeviceError, match=r"float16 needs torch"):
        open_network(path, dtype="float16")
    with pytest.raises(DeviceError, match="no device 'cuda'"):
        open_network(path, "cuda")


def test_a_small_file_cannot_fill_the_memory(tmp_path):
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Add", ["input", "sum"], ["output"]),
    ]
    shape = {"shape": np.array([1 << 20, 1 << 20])}
    write(tmp_path / "r.onnx", nodes, [image_input()], [image_input(name="output")], shape)
    with pytest.raises((CheckpointError, MemoryError)):
        open_network(tmp_path / "r.onnx")(images(1))


def test_beside_others_a_network_runs_in_one_thread_with_the_same_result(monkeypatch):
    network, given = open_network(path_of("embedded-identity")), images(1, 112)
    (alone,) = network(given)
    monkeypatch.setattr(network.session, "run", None)
    token = is_crowded.set(True)
    try:
        (beside_others,) = network(given)
    finally:
        is_crowded.reset(token)
    assert np.array_equal(alone, beside_others)
    with pytest.raises(CheckpointError):
        network(given)


def test_the_signature_of_a_graph_is_read(tmp_path):
    signature = open_network(with_weight(tmp_path / "r.onnx", DOUBLE)).signature
    assert (signature.image, signature.batch, signature.size) == ("input", None, (256, 256))
    assert (signature.scalar, signature.scalar_dtype) == ("weight", np.float64)
    assert signature.outputs == ("code", "output")


def test_no_torch_is_loaded(tmp_path):
    path = half_of(tmp_path / "r.onnx")
    code = (
        "import sys, numpy, pathlib; from revisage.models.backends import open_network;"
        f"network = open_network(pathlib.Path({str(path)!r}));"
        "print(network(numpy.ones((1, 3, 256, 256), 'f'))[0].mean(), {'torch', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.5", "set()"]
    assert not done.stderr
