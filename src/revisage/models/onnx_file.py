"""Metadata and stored tensors of an ONNX file, read without the package onnx.

Files come from strangers. Reading runs nothing, and refuses files that would make a runtime open others: tensors stored
elsewhere ("external data") and precompiled contexts (``EPContext``).

The format is that of protocol buffers; field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.types import Array

DTYPES = {
    **{1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_},
    **{10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64},
}
"""``TensorProto.DataType`` -> format, of what numpy can hold."""
METADATA_WEIGHTS = "revisage.weights"
"""The entry of the metadata that says in which format a state dict is stored: "int8" or "float16"."""
SCALE = ".scale"
"""Appended to the key of an int8 tensor (C, ...): the key of its float32 scales (C, 1, ...)."""
INTERNAL = "/"
"""First letter of the names of tensors that belong to the graph and not to the state dict."""
_MAX_FIELDS = 5_000_000
"""Parts of a file that are looked at; the largest published restorer has about 30,000."""
_MAX_DEPTH = 20
"""Levels of graphs within graphs."""
_GRAPH, _OPSET, _METADATA, _FUNCTION = 7, 8, 14, 25
Field: TypeAlias = tuple[int, int | memoryview]


@dataclass(frozen=True)
class OnnxFile:
    """The contents of a file.

    Attributes:
        metadata: ``metadata_props``.
        opset: version of the standard operators; 0 if the file does not say.
        tensors: initializers of the main graph by name; they are views of the file and cannot be written to. Those of
            formats that numpy lacks are left out.
    """

    metadata: dict[str, str]
    opset: int
    tensors: dict[str, Array]


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file and make sure that it needs no other file.

    MissingWeightsError: there is no such file. CheckpointError: it is no ONNX file, damaged, or refers to other files.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no model file at {path}")
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _Reader(path).model(content)
    except (ValueError, IndexError, OverflowError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole ONNX model: {error}") from error


def has_weights(path: Path) -> bool:
    """Whether the tensors of a file are the weights of one of our networks, see :func:`stored_weights`."""
    return METADATA_WEIGHTS in read_onnx(path).metadata


def stored_weights(file: OnnxFile, source: str) -> dict[str, NDArray[np.float32]]:
    """The float32 state dict of a file that ``revisage export`` wrote with ``--weights``.

    CheckpointError: it does not hold one.
    """
    if METADATA_WEIGHTS not in file.metadata:
        raise CheckpointError(f"{source} was exported without weights that can be read back; use the file it came from")
    state: dict[str, NDArray[np.float32]] = {}
    scales = {key + SCALE for key, value in file.tensors.items() if value.dtype == np.int8}
    for key, value in file.tensors.items():
        if key.startswith(INTERNAL) or key in scales:
            continue
        state[key] = value.astype(np.float32)
        if value.dtype == np.int8:
            scale = file.tensors.get(key + SCALE)
            if scale is None or scale.dtype != np.float32 or scale.size not in (1, len(value)):
                raise CheckpointError(f"{source} is damaged: the scales of {key} do not fit it")
            state[key] *= scale
    return state


class _Reader:
    """Walks a file once, counting the fields."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fields_left = _MAX_FIELDS

    def model(self, content: memoryview) -> OnnxFile:
        metadata: dict[str, str] = {}
        tensors: dict[str, Array] = {}
        graphs = opset = 0
        for number, value in self.fields(content):
            if number == _METADATA:
                entry = dict(self.fields(_message(value)))
                metadata[_text(entry.get(1, b""))] = _text(entry.get(2, b""))
            elif number == _OPSET:
                entry = dict(self.fields(_message(value)))
                version = entry.get(2, 0)
                if _text(entry.get(1, b"")) in ("", "ai.onnx") and isinstance(version, int):
                    opset = version
            elif number == _GRAPH:
                graphs += 1
                self.graph(_message(value), tensors, 0)
            elif number == _FUNCTION:
                for part, node in self.fields(_message(value)):
                    if part == 7:
                        self.node(_message(node), 0)
        if graphs != 1:
            raise ValueError("it has no graph" if not graphs else "it has several graphs")
        return OnnxFile(metadata, opset, tensors)

    def graph(self, content: memoryview, tensors: dict[str, Array] | None, depth: int) -> None:
        """Look through a graph; collect its initializers if there is a dictionary for them."""
        if depth > _MAX_DEPTH:
            raise ValueError("graphs within graphs without end")
        for number, value in self.fields(content):
            if number == 1:
                self.node(_message(value), depth)
            elif number == 5:
                name, array = self.tensor(_message(value))
                if tensors is not None and array is not None:
                    tensors[name] = array
            elif number == 15:
                self.sparse(_message(value))

    def node(self, content: memoryview, depth: int) -> None:
        for number, value in self.fields(content):
            if number == 4 and _text(value) == "EPContext":
                raise CheckpointError(f"{self.path} refers to precompiled parts in other files, which are not read")
            if number != 5:
                continue
            for part, attribute in self.fields(_message(value)):
                if part in (5, 10):
                    self.tensor(_message(attribute))
                elif part in (6, 11):
                    self.graph(_message(attribute), None, depth + 1)
                elif part in (22, 23):
                    self.sparse(_message(attribute))

    def sparse(self, content: memoryview) -> None:
        for number, value in self.fields(content):
            if number in (1, 2):
                self.tensor(_message(value))

    def tensor(self, content: memoryview) -> tuple[str, Array | None]:
        """(name, values); None instead of values of a format that numpy lacks."""
        shape: list[int] = []
        name, dtype, raw = "", None, None
        packed: dict[int, list[memoryview]] = {}
        for number, value in self.fields(content):
            if number == 1:
                shape += [value] if isinstance(value, int) else self.varints(value)
            elif number == 2:
                dtype = DTYPES.get(value) if isinstance(value, int) else None
            elif number == 8:
                name = _text(value)
            elif number == 9:
                raw = _message(value)
            elif number in (4, 5, 7, 10, 11) and isinstance(value, memoryview):
                packed.setdefault(number, []).append(value)
            elif number == 13 or (number == 14 and value):
                raise CheckpointError(f"{self.path} keeps weights in other files, which are not read")
        if dtype is None:
            return name, None
        if raw is not None:
            return name, np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).reshape(shape)
        return name, self._typed(packed, dtype, shape)

    def _typed(self, packed: dict[int, list[memoryview]], dtype: type, shape: list[int]) -> Array | None:
        """Values in fields of their own format: small tensors of other exporters; None for rare formats."""
        for number, stored in ((4, np.float32), (10, np.float64)):
            if number in packed and dtype == stored:
                return np.concatenate([np.frombuffer(part, stored) for part in packed[number]]).reshape(shape)
        if 7 in packed and dtype == np.int64:
            numbers = [number for part in packed[7] for number in self.varints(part)]
            return np.array(numbers, np.uint64).astype(np.int64).reshape(shape)
        return np.zeros(shape, dtype) if 0 in shape else None

    def varints(self, content: memoryview) -> list[int]:
        numbers: list[int] = []
        at = 0
        while at < len(content):
            number, at = _varint(content, at)
            numbers.append(number)
        self._count(len(numbers))
        return numbers

    def fields(self, content: memoryview) -> Iterator[Field]:
        """(number, integer or bytes) of each field of a message; floats come as their bytes."""
        at = 0
        while at < len(content):
            self._count(1)
            tag, at = _varint(content, at)
            kind = tag & 7
            if kind == 0:
                value, at = _varint(content, at)
                yield tag >> 3, value
                continue
            if kind == 2:
                size, at = _varint(content, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise ValueError("unknown kind of field")
            if at + size > len(content):
                raise ValueError("it ends too early")
            yield tag >> 3, content[at : at + size]
            at += size

    def _count(self, fields: int) -> None:
        self.fields_left -= fields
        if self.fields_left < 0:
            raise ValueError("it has more parts than any network")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """(number, position after it)."""
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number instead of a message")
    return value


def _text(value: int | bytes | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("a number instead of a text")
    return bytes(value).decode("utf-8", "replace")
