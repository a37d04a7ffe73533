"""The weights of a ``.pt2`` file that ``revisage export`` wrote, read without running anything.

``torch.export.load`` unpickles parts of such a file and evaluates expressions in it, so it is not for files of
strangers. Here the header says which network it is; its weights, which lie in the file as plain numbers, go into it.
"""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import torch

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.models.checkpoint import Header

HEADER_FILE = "revisage.json"
"""The extra file that holds the header."""
PREFIX = "network."
"""Of the weights' names: that of the network in the adapters of ``backends.torch``."""
_CONFIG = "data/weights/model_weights_config.json"
_FORMATS = {
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16},
    **{7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16},
}
"""``ScalarType`` of torch's export schema -> format."""
_MAX_TEXT = 2**26
"""Bytes of the largest table or header that is read."""


def read_program_weights(path: Path) -> tuple[dict[str, torch.Tensor], Header]:
    """Read a ``.pt2`` file -> (state dict on the CPU, header).

    MissingWeightsError: there is no such file. CheckpointError: damaged, or not written by ``revisage export``.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no weights file at {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2]: name for name in archive.namelist()}
            if f"extra/{HEADER_FILE}" not in names:
                raise CheckpointError(f"{path} was not exported by revisage; programs of others are not run")
            header = Header.from_json(_text(archive, names[f"extra/{HEADER_FILE}"]), str(path))
            table: dict[str, Any] = json.loads(_text(archive, names[_CONFIG]))["config"]
            state = {
                key.removeprefix(PREFIX): _tensor(archive, names[f"data/weights/{entry['path_name']}"], entry)
                for key, entry in table.items()
            }
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole .pt2 file: {error}") from error
    if header is None:
        raise CheckpointError(f"{path} names no architecture in its header")
    return state, header


def _text(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > _MAX_TEXT:
        raise ValueError(f"{name} is too large")
    return archive.read(name).decode()


def _tensor(archive: zipfile.ZipFile, name: str, entry: dict[str, Any]) -> torch.Tensor:
    """A tensor of its bytes; the strides that it was traced with do not matter, its numbers lie in their order."""
    meta = entry["tensor_meta"]
    if entry["use_pickle"] or archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is packed, not plain numbers")
    sizes, strides = ([int(number["as_int"]) for number in meta[which]] for which in ("sizes", "strides"))
    dtype, offset = _FORMATS[meta["dtype"]], int(meta["storage_offset"]["as_int"])
    if min([*sizes, *strides, offset], default=0) < 0 or math.prod(sizes) > archive.getinfo(name).file_size:
        raise ValueError(f"{name} does not fit its shape")
    flat = torch.frombuffer(bytearray(archive.read(name)), dtype=dtype)
    return torch.as_strided(flat, sizes, strides, offset).contiguous()
