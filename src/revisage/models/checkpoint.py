"""Weights on disk: safetensors with a header inside, so that a file explains itself.

The metadata of a ``.safetensors`` or ``.onnx`` file holds ``revisage``, a JSON object ``{"architecture": class name,
"arguments": {...}, ...}``: enough to build the network of the tensors. Reading runs no code, unlike pickles.

Readers raise MissingWeightsError where there is no file, and CheckpointError where it is damaged or something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.files import atomic_write
from revisage.models.onnx_file import read_onnx, stored_weights

if TYPE_CHECKING:
    import torch
    from torch import nn

ParameterSet = Literal["params_ema", "params"]
"""Names under which ``.pth`` files of BasicSR keep averaged and raw weights."""

TORCH_SUFFIXES = (".pth", ".pt", ".ckpt")
ONNX = ".onnx"
PROGRAM = ".pt2"
METADATA_KEY = "revisage"
"""The entry of a file's metadata that holds the header."""
FACE_SIZES = range(16, 4097)
"""Sizes of aligned faces that a header may ask for: larger crops would fill the memory."""
SCALE = ".scale"
"""Appended to a tensor's key: the key of its int8 scales."""
_INT8_MAX = 127


@dataclass(frozen=True)
class Header:
    """A weights file's description of itself.

    Attributes:
        architecture: a name of ``architectures.ARCHITECTURES``.
        arguments: of the network's constructor, JSON values.
        size: of the aligned faces that the network restores; None if it restores none.
        notes: whatever else belongs to the weights (recipe, images, ...), JSON values.
    """

    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    size: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """One JSON object; notes stand beside the other entries."""
        entries = {"architecture": self.architecture, "arguments": self.arguments, "size": self.size}
        return json.dumps({**self.notes, **{k: v for k, v in entries.items() if v is not None}}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: str) -> Header | None:
        """Inverse of :meth:`to_json`; None for an object that names no architecture.

        CheckpointError: not a JSON object, or entries of the wrong type or range.
        """
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{source}: its header is no JSON: {error}") from error
        if not isinstance(entries, dict):
            raise CheckpointError(f"{source}: its header is no JSON object")
        architecture = entries.pop("architecture", None)
        if architecture is None:
            return None
        arguments, size = entries.pop("arguments", {}), entries.pop("size", None)
        if not isinstance(architecture, str):
            raise CheckpointError(f"{source} names no known architecture in its header ({architecture!r})")
        if not isinstance(arguments, dict):
            raise CheckpointError(f"{source}: the arguments in its header are no JSON object")
        if size is not None and (type(size) is not int or size not in FACE_SIZES):
            raise CheckpointError(f"{source}: faces have {FACE_SIZES[0]} to {FACE_SIZES[-1]} pixels, not {size!r}")
        return cls(architecture, arguments, size, entries)


def stored_dtype(header: Header | None) -> str:
    """The format that an exported network computes in, as its header says; float32 where it says nothing."""
    return "float16" if header and header.notes.get("dtype") == "float16" else "float32"


def save_weights(
    path: Path, state: Mapping[str, torch.Tensor], header: Header | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write a state dict and its header as safetensors, atomically (OutputError: it fails; an earlier file is intact).

    Without a header readers infer it from keys and shapes. Floating-point tensors are stored as ``dtype``, int8 as
    ``quantize_int8`` says; None keeps theirs.
    """
    import torch
    from safetensors.torch import save_file

    if dtype == torch.int8:
        state, dtype = quantize_int8(state), None
    tensors = {key: stored.contiguous() for key, stored in to_stored(state, dtype).items()}
    metadata = {METADATA_KEY: header.to_json()} if header else None
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata)


def to_stored(state: Mapping[str, torch.Tensor], dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
    """Tensors on the CPU without history, floating-point ones in ``dtype`` unless it is None."""
    return {
        key: value.detach().to("cpu", dtype if dtype and value.is_floating_point() else value.dtype)
        for key, value in state.items()
    }


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], Header | None]:
    """Read a ``.safetensors`` file -> (state dict on the CPU, header; None if the file has none)."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingWeightsError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY, "{}")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    return dequantize_int8(state, str(path)), Header.from_json(text, str(path))


def read_onnx_weights(path: Path) -> tuple[dict[str, torch.Tensor], Header | None]:
    """Read the weights of an ``.onnx`` file that keeps them by name -> (state dict on the CPU, header or None)."""
    import torch

    file = read_onnx(path)
    state = {key: torch.from_numpy(value) for key, value in stored_weights(file, str(path)).items()}
    for key in [key for key in state if key.endswith(".running_var")]:  # counts of training, which no graph needs
        state[key.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    return state, Header.from_json(file.metadata.get(METADATA_KEY, "{}"), str(path))


def quantize_int8(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices and kernels, (C, ...), as int8 beside (C,) float32 scales; vectors as float16; integers as they are.

    Symmetric, with a scale for each output channel (Krishnamoorthi 2018, arXiv 1806.08342, section 3.1): w ≈ scale · q
    with integers q from -127 to 127. Half the size of float16 on disk; readers get floats again.
    """
    import torch

    packed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if not value.is_floating_point():
            packed[key] = value
        elif value.ndim < 2:
            packed[key] = value.to(torch.float16)
        else:
            rows = value.detach().float().flatten(1)
            scales = rows.abs().amax(1) / _INT8_MAX
            quantized = (rows / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round()
            packed[key], packed[key + SCALE] = quantized.to(torch.int8).reshape(value.shape), scales
    return packed


def dequantize_int8(state: Mapping[str, torch.Tensor], source: str) -> dict[str, torch.Tensor]:
    """Inverse of :func:`quantize_int8`, as float32; tensors without scales are handed on.

    CheckpointError: scales that do not fit their tensor.
    """
    import torch

    packed = {key for key, value in state.items() if value.dtype == torch.int8 and key + SCALE in state}
    scales = {key + SCALE for key in packed}
    floats = {key: value for key, value in state.items() if key not in scales}
    for key in packed:
        value, scale = state[key], state[key + SCALE]
        if not value.ndim or scale.shape != value.shape[:1] or not scale.is_floating_point():
            raise CheckpointError(f"{source} is damaged: the scales of {key} do not fit it")
        floats[key] = value.float() * scale.float().reshape(-1, *[1] * (value.ndim - 1))
    return floats


def load_strictly(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy ``state`` into ``network``, whose own dtype is kept; every key and shape must fit, see ``check_fit``."""
    check_fit(network, state, source)
    network.load_state_dict(dict(state))


def check_fit(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Make sure that a network has the keys and shapes of a state dict, all of them and no others.

    CheckpointError: says which keys are missing, left over, of another shape, or integers for fractions.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    kinds = [
        f"{key} in {state[key].dtype}"
        for key in own
        if key in state and state[key].is_floating_point() != own[key].is_floating_point()
    ]
    faults = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", shapes),
            ("of another kind of number", kinds),
        )
        if keys
    ]
    if faults:
        raise CheckpointError(f"{source} does not fit {type(network).__name__}: {'; '.join(faults)}")


def check_finite(state: Mapping[str, torch.Tensor], source: str) -> None:
    """Make sure that all weights are finite: a single NaN spoils whole images.

    CheckpointError: names the tensor that holds NaN or an infinity.
    """
    import torch

    for key, value in state.items():
        if value.is_floating_point():
            number = value if value.dtype.itemsize > 1 else value.float()
            # One sum is quick; only where it is no number, which large numbers manage too, is each one looked at.
            if not number.sum(dtype=torch.float32).isfinite() and not number.isfinite().all():
                raise CheckpointError(f"{source} is damaged: {key} holds values that are no numbers (NaN or infinity)")
