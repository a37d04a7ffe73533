"""A model file's description of itself, for people: architecture, role, conventions, license, source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from revisage.errors import MissingWeightsError
from revisage.models.architectures import ARCHITECTURES
from revisage.models.checkpoint import METADATA_KEY, Header
from revisage.models.device import import_torch
from revisage.models.onnx_file import METADATA_WEIGHTS, read_onnx

FOREIGN = "ONNX"
"""The architecture of networks that others exported."""


def describe_file(path: Path) -> dict[str, Any]:
    """Read the header of a model file, whatever wrote it; nothing in the file is run.

    Returns:
        name of an entry -> JSON value: architecture, role, size, arguments and bytes; of exported files also
        input_range, channels, dtype, opset, weights, license and source_sha256, as far as they are known.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged, unsafe or of no known network.
        DeviceError: a file of torch weights, and torch is not installed.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no model file at {path}")
    more: dict[str, Any] = {}
    if path.suffix.lower() == ".onnx":
        file = read_onnx(path)
        header = Header.from_json(file.metadata.get(METADATA_KEY, "{}"), str(path)) or Header(FOREIGN)
        more = {"opset": file.opset, "weights": file.metadata.get(METADATA_WEIGHTS)}
    else:
        import_torch(f"{path.name} (a file of torch weights)")
        from revisage.models.build import read_checkpoint

        header = read_checkpoint(path)[1]
    row = ARCHITECTURES.get(header.architecture)
    entries: dict[str, Any] = {"architecture": header.architecture, "role": row and row.role, "size": header.size}
    entries |= {"arguments": dict(header.arguments), "bytes": path.stat().st_size} | dict(header.notes) | more
    return {name: value for name, value in entries.items() if value is not None}
