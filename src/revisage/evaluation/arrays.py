"""Arrays of ``.npz`` files: names and numbers, no objects, and no more memory than such files have use for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.types import Array

MAX_UNPACKED_BYTES = 2**31
"""Limit for all arrays of an ``.npz`` file together."""


def read_arrays(path: Path) -> dict[str, Array]:
    """Read all arrays of an ``.npz`` file.

    MissingWeightsError: there is no such file. CheckpointError: it is damaged, holds objects, or unpacks to too much.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no file at {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise CheckpointError(f"{path} is refused: it unpacks to {unpacked} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except CheckpointError:
        raise
    # Damaged archives and headers of arrays fail in many ways.
    except Exception as error:
        raise CheckpointError(f"{path} is not a whole file of arrays ({type(error).__name__})") from error
