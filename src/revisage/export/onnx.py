"""Networks as ONNX files that run without torch, alone or in other programs."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from revisage.errors import CheckpointError, InputError
from revisage.files import atomic_write
from revisage.models.checkpoint import METADATA_KEY, Header, dequantize_int8, quantize_int8
from revisage.models.device import DeviceConfig
from revisage.models.onnx_file import INTERNAL, METADATA_WEIGHTS, SCALE, read_onnx

try:
    import onnx_ir as ir
    import onnxscript.optimizer
    import torch
    from torch import nn
except ImportError as error:
    raise InputError(f"export needs torch, onnx and onnxscript ({error}): pip install 'revisage[export]'") from error

from revisage.models.architectures import ARCHITECTURES
from revisage.models.backends.onnxruntime import Conventions, open_onnx
from revisage.models.backends.torch import TorchNetwork, inference_module
from revisage.models.build import build
from revisage.models.nets.retinaface import RetinaFace

Weights = Literal["float32", "float16", "int8"]
OPSET = 18
"""The oldest that has anti-aliased resizing; onnxruntime 1.14 and newer know it."""
_EXAMPLE_SIZES = {"restorer": 512, "detector": 256, "embedder": 256, "parser": 512, "upscaler": 64}
"""Roles of networks that can be exported, and sizes of the images that they are traced with unless they say another."""
_INPUT_RANGES = {"detector": (0, 255), "upscaler": (0, 1)}
"""Values that stand for black and white; (-1, 1) for the other roles."""
TOLERANCE = 1e-3
"""Largest difference between the exported network and torch, relative to the largest output."""


@dataclass(frozen=True)
class Export:
    """A written file.

    Attributes:
        header: what it says about the network.
        weights: format of the stored weights.
        bytes: its size.
        difference: largest difference between its outputs and those of torch with the same weights.
        rounding: largest difference between its outputs and those of torch with the weights before they were rounded;
            None if they were not.
        range: largest absolute output.
    """

    header: Header
    weights: Weights
    bytes: int
    difference: float
    rounding: float | None
    range: float


def export_onnx(
    source: Path,
    target: Path,
    *,
    weights: Weights | None = None,
    architecture: str | None = None,
    notes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Export:
    """Write a network as ONNX, of any batch size, and compare it with torch.

    Args:
        source: a weights file.
        target: an ``.onnx`` file; written whole or not at all.
        weights: format of the stored weights. "float16" and "int8" are expanded when a runtime loads the file, which
            computes in float32. int8 are symmetric with one scale per output channel, vectors are float16. None: that
            of a source that was exported with its weights, else "float32".
        architecture: decides between networks with the same keys.
        notes: further entries of the header.
        overwrite: replace a file of that name.

    Raises:
        InputError: the target has another suffix, or exists already.
        MissingWeightsError: there is no source.
        CheckpointError: the source is damaged, unsafe or unknown; no network that can be exported; or the result
            differs from torch.
        OutputError: the target cannot be written.
    """
    if target.suffix.lower() != ".onnx":
        raise InputError(f"{target}: networks are exported as .onnx")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already (--overwrite replaces it)")
    network, found = build(source, architecture)
    weights = weights or _weights_of(source)
    sha = hashlib.sha256(source.read_bytes()).hexdigest()
    convention = {"channels": "rgb", "input_range": _INPUT_RANGES.get(_role(found), (-1, 1))}
    header = replace(found, notes={"source_sha256": sha, **found.notes, **(notes or {}), **convention})
    images = _example(header)
    before = _outputs(network, header, images)
    stored = {} if weights == "float32" else _stored(network.state_dict(), weights)
    if stored:
        network.load_state_dict(dequantize_int8(stored, str(source)))
    exported = _outputs(network, header, images)
    model = _to_ir(network, header, images)
    _optimize(model, stored)
    _describe(model, header, weights, network)
    with atomic_write(target) as temporary:
        temporary.write_bytes(ir.serde.serialize_model(model).SerializeToString(deterministic=True))
        runtime = open_onnx(temporary, DeviceConfig("onnxruntime", "cpu", "float32", ""), Conventions())
        found = runtime(images)
        largest = max(float(np.abs(output).max()) for output in exported)
        difference = _difference(found, exported)
        if not difference <= TOLERANCE * max(1.0, largest):
            raise CheckpointError(f"{source}: the exported network differs from torch by {difference:.2g}")
    rounding = _difference(found, before) if stored else None
    return Export(header, weights, target.stat().st_size, difference, rounding, largest)


def _weights_of(source: Path) -> Weights:
    """The format in which an exported source stores its weights, else float32."""
    known: dict[str, Weights] = {"int8": "int8", "float16": "float16"}
    stored = read_onnx(source).metadata.get(METADATA_WEIGHTS, "") if source.suffix.lower() == ".onnx" else ""
    return known.get(stored, "float32")


def _role(header: Header) -> str:
    """The role of a network in a restoration.

    Raises:
        CheckpointError: it has none.
    """
    role = ARCHITECTURES[header.architecture].role
    if role not in _EXAMPLE_SIZES:
        raise CheckpointError(f"a {header.architecture} has no part in restoring images; it cannot be exported")
    return role


def _example(header: Header) -> np.ndarray:
    """Two images as the network takes them, smooth and noisy, the same ones every time."""
    size = header.size or int(header.arguments.get("in_size", 0)) or _EXAMPLE_SIZES[_role(header)]
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((2, 3, 8, 8), np.float32))
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic").numpy()
    images = np.clip(smooth + [[[[0.02]]], [[[0.2]]]] * rng.standard_normal(smooth.shape, np.float32), 0, 1)
    low, high = _INPUT_RANGES.get(_role(header), (-1, 1))
    return (images * (high - low) + low).astype(np.float32)


def _stored(state: Mapping[str, torch.Tensor], weights: Weights) -> dict[str, torch.Tensor]:
    """The state dict as it will lie in the file; integers, which only count training steps, are left alone."""
    if weights == "int8":
        return quantize_int8(state)
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def _outputs(network: nn.Module, header: Header, images: np.ndarray) -> tuple[np.ndarray, ...]:
    cpu = DeviceConfig("torch", "cpu", "float32", "")
    return TorchNetwork(header, cpu, inference_module(network))(images)


def _difference(outputs: tuple[np.ndarray, ...], others: tuple[np.ndarray, ...]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(outputs, others, strict=True))


def _to_ir(network: nn.Module, header: Header, images: np.ndarray) -> ir.Model:
    """Trace the network; what it computes is not simplified yet.

    Raises:
        CheckpointError: torch cannot export it.
    """
    dynamic = torch.export.Dim.DYNAMIC
    fixed_size = _role(header) in ("restorer", "parser")
    axes = (0,) if fixed_size else (0, 2, 3)
    names = ["boxes", "scores", "landmarks"] if isinstance(network, RetinaFace) else ["output"]
    with _quiet():
        try:
            program = torch.onnx.export(
                inference_module(network),
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


def _optimize(model: ir.Model, stored: Mapping[str, torch.Tensor]) -> None:
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


def _expanded(graph: ir.Graph, key: str, value: ir.Value, stored: Mapping[str, torch.Tensor]) -> list[ir.Node]:
    """The nodes that make float32 of a stored tensor, which take the place of ``value``."""

    def initializer(name: str, tensor: torch.Tensor) -> ir.Value:
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
