"""Networks as ONNX files that run without torch, alone or in other programs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
import onnxscript.optimizer
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from revisage.errors import CheckpointError
from revisage.models.backends.torch import inference_module
from revisage.models.checkpoint import METADATA_KEY, Header, quantize_int8
from revisage.models.nets.retinaface import RetinaFace
from revisage.models.onnx_file import INTERNAL, METADATA_WEIGHTS, SCALE

Weights = Literal["float32", "float16", "int8"]
Dtype = Literal["float32", "float16"]
OPSET = 18
"""The oldest that has anti-aliased resizing; onnxruntime 1.14 and newer know it."""
_MAX_FOLDED = 2**26
"""Numbers of the largest tensor that is computed in advance in a float16 network, so that no weight is stored twice."""


def write_onnx(
    path: Path,
    network: nn.Module,
    header: Header,
    example: NDArray[np.float32],
    axes: tuple[int, ...],
    weights: Weights,
    stored: Mapping[str, Tensor],
    dtype: Dtype,
) -> None:
    """Write a network in evaluation mode as it is used, see ``backends``, with its header (CheckpointError: it fails).

    ``example`` (2, 3, H, W) is traced; the ``axes`` of images may have any length. ``stored`` holds the weights in the
    format ``weights``, see :func:`stored_state`; empty for float32.
    """
    model = _to_ir(network, header, example, axes, dtype)
    _optimize(model, stored, dtype)
    _describe(model, header, weights, network)
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString(deterministic=True))


def stored_state(state: Mapping[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    """The state dict as it will lie in the file; integers, which only count training steps, are left alone."""
    if weights == "int8":
        return quantize_int8(state)
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


class _HalfPrecision(nn.Module):
    """A network as autocast runs it: convolutions and matrix products in float16, what needs more in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.float16):
            outputs = self.network(images)
        return outputs.float() if isinstance(outputs, Tensor) else tuple(output.float() for output in outputs)


def _to_ir(
    network: nn.Module, header: Header, images: NDArray[np.float32], axes: tuple[int, ...], dtype: Dtype
) -> ir.Model:
    """Trace the network; what it computes is not simplified yet (CheckpointError: torch cannot export it)."""
    dynamic = torch.export.Dim.DYNAMIC
    names = ["boxes", "scores", "landmarks"] if isinstance(network, RetinaFace) else ["output"]
    module = inference_module(network)
    with _quiet():
        try:
            program = torch.onnx.export(
                _HalfPrecision(module).eval() if dtype == "float16" else module,
                (torch.from_numpy(images),),
                dynamo=True,
                optimize=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=names,
                dynamic_shapes=(dict.fromkeys(axes, dynamic),),
                verbose=False,
            )
        except Exception as error:  # of many kinds, each with pages of advice
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise CheckpointError(f"torch cannot export a {header.architecture}: {first.strip()}") from error
    assert program is not None
    return program.model


@contextmanager
def _quiet() -> Generator[None]:
    """Without the exporter's remarks, which are for its developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _optimize(model: ir.Model, stored: Mapping[str, Tensor], dtype: Dtype) -> None:
    """Simplify the graph; give it weights in the format of ``stored``, by their keys and expanded by the graph itself.

    The simplifier merges weights and folds norms into convolutions; weights that are to stay as they are stored are
    hidden from it as inputs.
    """
    graph = model.graph
    for value in list(graph.initializers.values()):
        value.name = str(value.name).removeprefix("network.")
    hidden = {key: graph.initializers.pop(key) for key in stored if key in graph.initializers}
    for value in hidden.values():
        value.const_value = None
        graph.inputs.append(value)
    if dtype == "float16":
        onnxscript.optimizer.optimize_ir(model, input_size_limit=_MAX_FOLDED, output_size_limit=_MAX_FOLDED)
        _halve_biases(graph)
    else:
        onnxscript.optimizer.optimize_ir(model)
    for value in hidden.values():
        graph.inputs.remove(value)
    for number, value in enumerate(list(graph.initializers.values())):
        if value.name not in stored and stored:
            graph.initializers.pop(str(value.name))
            value.name = f"{INTERNAL}{number}"
            graph.register_initializer(value)
    expand = [node for key, value in hidden.items() for node in _expanded(graph, key, value, stored)]
    graph.insert_before(graph[0], expand)


def _halve_biases(graph: ir.Graph) -> None:
    """Make float16 of the float32 weights and biases that the simplifier leaves in float16 layers with folded norms."""
    for node in graph:
        halves = any(value is not None and value.dtype == ir.DataType.FLOAT16 for value in node.inputs)
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or not halves:
            continue
        for index, value in enumerate(node.inputs):
            if value is None or value.const_value is None or value.const_value.dtype != ir.DataType.FLOAT:
                continue
            constant = ir.tensor(value.const_value.numpy().astype(np.float16), name=f"{value.name}/half")
            half = ir.Value(
                name=constant.name, shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT16), const_value=constant
            )
            if half.name not in graph.initializers:
                graph.register_initializer(half)
            node.replace_input_with(index, graph.initializers[str(half.name)])
            if not value.uses():
                graph.initializers.pop(str(value.name), None)


def _expanded(graph: ir.Graph, key: str, value: ir.Value, stored: Mapping[str, Tensor]) -> list[ir.Node]:
    """The nodes that make float32 of a stored tensor, which take the place of ``value``."""

    def initializer(name: str, tensor: Tensor) -> ir.Value:
        constant = ir.tensor(tensor.numpy(), name=name)
        made = ir.Value(
            name=name, shape=ir.Shape(tensor.shape), type=ir.TensorType(constant.dtype), const_value=constant
        )
        graph.register_initializer(made)
        return made

    tensor = stored[key]
    nodes = [ir.node("Cast", [initializer(key, tensor)], {"to": ir.DataType.FLOAT})]
    if key + SCALE in stored:
        scale = stored[key + SCALE].reshape(-1, *[1] * (tensor.ndim - 1))
        nodes.append(ir.node("Mul", [nodes[0].outputs[0], initializer(key + SCALE, scale)]))
    for node in nodes:
        node.outputs[0].name = f"{INTERNAL}{node.op_type}/{key}"
    value.replace_all_uses_with(nodes[-1].outputs[0])
    return nodes


def _describe(model: ir.Model, header: Header, weights: Weights, network: nn.Module) -> None:
    """Replace what the exporter says about itself and its machine by the header."""
    model.producer_name, model.producer_version, model.doc_string = "revisage", None, None
    model.metadata_props.clear()
    model.graph.doc_string = None
    model.graph.name = header.architecture
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.name = node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if not value.is_graph_output():  # runtimes infer the shapes in between
                value.shape = value.type = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    _name_axes(model.graph)
    model.metadata_props[METADATA_KEY] = header.to_json()
    floats = {key for key, value in network.state_dict().items() if value.is_floating_point()}
    if weights != "float32" and floats <= set(model.graph.initializers):
        model.metadata_props[METADATA_WEIGHTS] = weights


def _name_axes(graph: ir.Graph) -> None:
    """Call open dimensions by their names in the documentation, instead of by formulas."""
    (images,) = graph.inputs
    known = dict(zip(map(str, images.shape or ()), ("batch", "channels", "height", "width"), strict=True))
    for value in (images, *graph.outputs):
        assert value.shape is not None
        named = [
            size if isinstance(size, int) else known.get(str(size), "anchors" if axis == 1 else f"{value.name}_{axis}")
            for axis, size in enumerate(value.shape)
        ]
        value.shape = ir.Shape(named)
