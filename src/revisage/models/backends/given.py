"""Weights that a caller gives as bytes or as a file object, instead of by the path of a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, InputError, RevisageError

if TYPE_CHECKING:
    from revisage.models.backends import Network

WeightsSource: TypeAlias = str | Path | bytes | BinaryIO
"""The name of a model, the path of a weights file, its bytes, or a file object that is open for reading bytes."""
MAX_KEPT = 256 * 2**20
"""Bytes of weights that are kept in memory, so that their restorer can be pickled."""


@dataclass(frozen=True)
class Given:
    """A model that was given.

    Attributes:
        name: how a restorer and messages call it.
        content: the bytes, if it was given by them.
    """

    model: str | Path
    name: str
    content: bytes | None = field(default=None, repr=False)


@contextmanager
def as_file(model: WeightsSource) -> Generator[Given]:
    """Put bytes and file objects into a temporary file, which is gone afterwards; names and paths pass through.

    Raises:
        InputError: an empty or text file object, or nothing of the kind.
        CheckpointError: the bytes are no weights; what is raised within names them in place of the file.
    """
    if isinstance(model, str | os.PathLike):
        yield Given(model, str(model))
        return
    content = _read(model)
    called = getattr(model, "name", None)
    name = called if isinstance(called, str) else f"weights-{hashlib.sha256(content).hexdigest()[:12]}"
    with TemporaryDirectory(prefix="revisage-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"weights{_suffix_of(content)}"
        path.write_bytes(content)
        try:
            yield Given(path, name, content)
        except RevisageError as error:
            raise type(error)(str(error).replace(str(path), name)) from error


def _read(model: Any) -> bytes:
    read = getattr(model, "read", None)
    if read is None and not isinstance(model, bytes | bytearray | memoryview):
        kinds = "a name (`revisage models` lists them), the path of a file, bytes or a file object"
        raise InputError(f"model is {kinds}, not {model!r}")
    content: Any = read() if read else bytes(model)
    if isinstance(content, str):
        raise InputError("the file of weights is open for text; open it with 'rb'")
    if not content:
        raise CheckpointError("the weights are empty; a file object is read from where it stands")
    return content


def _suffix_of(content: bytes) -> str:
    if content[8:9] == b"{":
        return ".safetensors"
    return ".onnx" if content.startswith(b"\x08") else ".pth"


@dataclass(frozen=True)
class KeptNetwork:
    """A network that was opened from bytes, and is opened from them again where it is unpickled.

    Attributes:
        reopen: path -> network.
    """

    network: Network = field(repr=False)
    content: bytes = field(repr=False)
    reopen: Callable[[Path], Network] = field(repr=False)

    def __call__(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """See ``backends.Network``."""
        return self.network(images)

    def __reduce__(self) -> tuple[Any, ...]:
        if len(self.content) > MAX_KEPT:
            size = f"{len(self.content) / 1e6:.0f} MB"
            raise InputError(f"a restorer that was loaded from {size} of bytes cannot be pickled; load it from a file")
        return _reopen, (self.content, self.reopen)


def _reopen(content: bytes, reopen: Callable[[Path], Network]) -> KeptNetwork:
    with as_file(content) as given:
        return KeptNetwork(reopen(Path(given.model)), content, reopen)
