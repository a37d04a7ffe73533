"""A network into a file, compared with torch on a real face before the file appears."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from revisage.errors import CheckpointError, InputError
from revisage.export.onnx import OPSET, Dtype, Weights, stored_state, write_onnx
from revisage.export.torch_program import run_program, write_program
from revisage.files import atomic_write
from revisage.models.architectures import ARCHITECTURES
from revisage.models.backends.onnxruntime import Conventions, open_onnx
from revisage.models.backends.torch import TorchNetwork, inference_module
from revisage.models.build import build
from revisage.models.check_images import INPUT_RANGES, MIN_PSNR, check_images, largest_difference, psnr
from revisage.models.checkpoint import Header, dequantize_int8
from revisage.models.device import DeviceConfig
from revisage.models.onnx_file import METADATA_WEIGHTS, read_onnx

TOLERANCE = 1e-3
"""Largest difference between a float32 file and torch, relative to the largest output; float16 must keep MIN_PSNR."""
_SIZES = {"restorer": 512, "detector": 256, "embedder": 256, "parser": 512, "upscaler": 64, "repairer": 64}
"""Roles of networks that can be exported, and sizes of the images that they are traced with unless they say another."""
_FIXED_SIZE = ("restorer", "parser")
"""Roles whose images have one size; the others take any."""
_CPU = DeviceConfig("torch", "cpu", "float32", "")


@dataclass(frozen=True)
class Export:
    """A written file.

    Attributes:
        header: what it says about the network.
        weights: format of the stored weights.
        dtype: format that it computes in.
        opset: of ONNX; None for a ``.pt2``.
        bytes: its size.
        shape: of the images that it was compared on.
        difference: largest difference between its outputs and those of torch with the same weights in float32.
        psnr: of the same, in dB, the range of the outputs as peak.
        rounding: largest difference between its outputs and those of torch with the weights before they were rounded;
            None if they were not.
        range: largest absolute output.
    """

    header: Header
    weights: Weights
    dtype: Dtype
    opset: int | None
    bytes: int
    shape: tuple[int, ...]
    difference: float
    psnr: float
    rounding: float | None
    range: float


def export_network(
    source: Path,
    target: Path,
    *,
    weights: Weights | None = None,
    dtype: Dtype = "float32",
    architecture: str | None = None,
    notes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Export:
    """Write a network as ONNX or ``torch.export`` program, of any batch size, and compare it with torch.

    Args:
        source: a weights file.
        target: an ``.onnx`` or ``.pt2`` file; written whole or not at all.
        weights: format of the stored weights, of ``.onnx`` only. "float16" and "int8" are expanded when a runtime loads
            the file, which computes in float32. int8 are symmetric with one scale per output channel, vectors are
            float16. None: that of a source that was exported with its weights, else "float32".
        dtype: "float16" computes convolutions and matrix products in half precision, for GPUs; inputs, outputs and what
            needs more stay float32. Of ``.onnx`` only: torch computes a ``.pt2`` in the format it is asked for.
        architecture: decides between networks with the same keys.
        notes: further entries of the header.
        overwrite: replace a file of that name.

    Raises:
        InputError: the target has another suffix, exists already, or cannot be of this format.
        MissingWeightsError: there is no source.
        CheckpointError: the source is damaged, unsafe or unknown; no network that can be exported; or the result
            differs from torch.
        OutputError: the target cannot be written.
    """
    is_onnx = _check_target(target, weights, dtype, overwrite)
    network, found = build(source, architecture)
    role = ARCHITECTURES[found.architecture].role
    if role not in _SIZES:
        raise CheckpointError(f"a {found.architecture} has no part in restoring images; it cannot be exported")
    weights = weights or (_weights_of(source) if is_onnx and dtype == "float32" else "float32")
    header = replace(found, notes=_notes(source, found, role, dtype, notes or {}))
    height, width = _check_size(header, role)
    images = check_images(role, height, width, 3)
    before = _outputs(network, header, images)
    stored = {} if weights == "float32" else stored_state(network.state_dict(), weights)
    if stored:
        network.load_state_dict(dequantize_int8(stored, str(source)))
    exact = _outputs(network, header, images) if stored else before
    example = check_images(role, height, height)
    axes = (0,) if role in _FIXED_SIZE else (0, 2, 3)
    with atomic_write(target) as temporary:
        if is_onnx:
            write_onnx(temporary, network, header, example, axes, weights, stored, dtype)
            runtime = open_onnx(temporary, DeviceConfig("onnxruntime", "cpu", "float32", ""), Conventions())
            outputs = runtime(images)
        else:
            write_program(temporary, network, header, example, axes)
            outputs = run_program(temporary, images)
        result = Export(
            header=header,
            weights="float16" if dtype == "float16" else weights,
            dtype=dtype,
            opset=OPSET if is_onnx else None,
            bytes=temporary.stat().st_size,
            shape=images.shape,
            difference=largest_difference(outputs, exact),
            psnr=psnr(outputs, exact),
            rounding=largest_difference(outputs, before) if stored else None,
            range=max(float(np.abs(output).max()) for output in exact),
        )
        _check_parity(result, source)
    return result


def _check_target(target: Path, weights: Weights | None, dtype: Dtype, overwrite: bool) -> bool:
    """Whether the target is ONNX (InputError: it cannot be written like this)."""
    suffix = target.suffix.lower()
    if suffix not in (".onnx", ".pt2"):
        raise InputError(f"{target}: networks are exported as .onnx or .pt2")
    if suffix == ".pt2" and (weights not in (None, "float32") or dtype != "float32"):
        raise InputError(f"{target}: a .pt2 holds float32 weights; torch computes in float16 by --dtype when it runs")
    if dtype == "float16" and weights not in (None, "float16"):
        raise InputError(f"{target}: a network that computes in float16 has float16 weights, not {weights}")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already (--overwrite replaces it)")
    return suffix == ".onnx"


def _check_parity(done: Export, source: Path) -> None:
    """Raise CheckpointError if the exported network differs too much from torch."""
    if done.dtype == "float32" and not done.difference <= TOLERANCE * max(1.0, done.range):
        raise CheckpointError(f"{source}: the exported network differs from torch by {done.difference:.2g}")
    if not done.psnr >= MIN_PSNR:
        raise CheckpointError(
            f"{source}: in {done.dtype} the exported network has {done.psnr:.1f} dB against torch, below {MIN_PSNR:.0f}"
        )


def _weights_of(source: Path) -> Weights:
    """The format in which an exported source stores its weights, else float32."""
    known: dict[str, Weights] = {"int8": "int8", "float16": "float16"}
    stored = read_onnx(source).metadata.get(METADATA_WEIGHTS, "") if source.suffix.lower() == ".onnx" else ""
    return known.get(stored, "float32")


def _notes(source: Path, found: Header, role: str, dtype: Dtype, notes: Mapping[str, Any]) -> dict[str, Any]:
    """The header's entries besides the network's class, arguments and size."""
    sha = hashlib.sha256(source.read_bytes()).hexdigest()
    own = {"role": role, "channels": "rgb", "input_range": INPUT_RANGES.get(role, (-1, 1)), "dtype": dtype}
    return {"source_sha256": sha, **found.notes, **notes, **own}


def _check_size(header: Header, role: str) -> tuple[int, int]:
    """Height and width of the images to compare on; not square where any size will do."""
    size = header.size or int(header.arguments.get("in_size", 0)) or _SIZES[role]
    return size, size if role in (*_FIXED_SIZE, "embedder") else size * 5 // 4


def _outputs(network: nn.Module, header: Header, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    return TorchNetwork(header, _CPU, inference_module(network))(images)
