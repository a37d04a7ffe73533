"""Small ONNX graphs, as others might export them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model

FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16


def image_input(batch: Any = "n", size: Any = 256, kind: int = FLOAT, name: str = "input") -> Any:
    return helper.make_tensor_value_info(name, kind, [batch, 3, size, size])


def write(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    **save: Any,
) -> Path:
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata or {})
    save_model(model, path, **save)
    return path


def half_of(
    path: Path, batch: Any = "n", size: Any = 256, kind: int = FLOAT, metadata: dict[str, str] | None = None
) -> Path:
    """A "restorer" whose output is half of its input."""
    dtype = {FLOAT: np.float32, HALF: np.float16, DOUBLE: np.float64}[kind]
    return write(
        path,
        [helper.make_node("Mul", ["input", "half"], ["output"])],
        [image_input(batch, size, kind)],
        [image_input(batch, size, kind, "output")],
        {"half": np.array(0.5, dtype)},
        metadata,
    )


def with_weight(path: Path, kind: int = DOUBLE, shape: Sequence[Any] = ()) -> Path:
    """A "restorer" with a second input: the output is the input times ``weight``, after a tensor that is no image."""
    nodes = [
        helper.make_node("Cast", ["weight"], ["factor"], to=FLOAT),
        helper.make_node("Mul", ["input", "factor"], ["output"]),
        helper.make_node("ReduceMean", ["input"], ["code"], keepdims=0),
    ]
    return write(
        path,
        nodes,
        [image_input(), helper.make_tensor_value_info("weight", kind, list(shape))],
        [helper.make_tensor_value_info("code", FLOAT, []), image_input(name="output")],
    )
