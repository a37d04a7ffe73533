"""The reader of ONNX files, against the package onnx."""

import random
from contextlib import suppress

import numpy as np
import pytest
from graphs import FLOAT, half_of, image_input, write
from onnx import helper, load_model, numpy_helper, save_model

from revisage.errors import CheckpointError
from revisage.models.onnx_file import read_onnx


def test_metadata_and_tensors_of_all_formats(tmp_path):
    rng = np.random.default_rng(0)
    formats = [np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64, np.bool_]
    tensors = {str(np.dtype(f)): (rng.random((2, 3, 4)) * 100).astype(f) for f in formats}
    tensors |= {"scalar": np.array(0.5, np.float32), "empty": np.zeros((0, 4), np.float32)}
    path = half_of(tmp_path / "m.onnx", metadata={"key": "värde", "empty": ""})
    model = load_model(path)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
    model.graph.initializer.append(helper.make_tensor("typed", FLOAT, [3], [1.5, -2, 3]))
    model.graph.initializer.append(helper.make_tensor("whole", 7, [2, 2], [1, -2, 3, 1 << 40]))
    save_model(model, path)
    read = read_onnx(path)
    assert read.metadata == {"key": "värde", "empty": ""}
    assert read.tensors["typed"].tolist() == [1.5, -2, 3]
    assert read.tensors["whole"].tolist() == [[1, -2], [3, 1 << 40]]
    for name, value in tensors.items():
        np.testing.assert_array_equal(read.tensors[name], value, strict=True)


def test_files_that_refer_to_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * 4)
    path = half_of(tmp_path / "outside.onnx")
    model = load_model(path)
    (half,) = model.graph.initializer
    half.data_location = 1
    half.ClearField("raw_data")
    half.external_data.add(key="location", value="secret")
    save_model(model, path)
    with pytest.raises(CheckpointError, match="weights in other files"):
        read_onnx(path)
    nested = helper.make_graph(
        [helper.make_node("Constant", [], ["value"], value=half)], "branch", [], [image_input(name="value")]
    )
    branch = helper.make_node("If", ["condition"], ["output"], then_branch=nested, else_branch=nested)
    write(path, [branch], [image_input()], [image_input(name="output")], {"condition": np.array(True)})
    with pytest.raises(CheckpointError, match="weights in other files"):
        read_onnx(path)
    context = helper.make_node("EPContext", ["input"], ["output"], domain="com.microsoft", ep_cache_context="secret")
    write(path, [context], [image_input()], [image_input(name="output")])
    with pytest.raises(CheckpointError, match="precompiled"):
        read_onnx(path)


def test_damage_is_one_kind_of_error(tmp_path):
    path = half_of(tmp_path / "m.onnx", metadata={"key": "value"})
    whole = bytearray(path.read_bytes())
    rng = random.Random(0)
    for _ in range(500):
        damaged = whole[: rng.randrange(len(whole) + 1)]
        for _ in range(rng.randrange(4)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        with suppress(CheckpointError):
            read_onnx(path)
