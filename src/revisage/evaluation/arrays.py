"""Arrays of ``.npz`` files: names and numbers, no objects, and no more memory than such files have use for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from revisage.errors import CheckpointError
from revisage.types import Array

LARGEST = 2**31
"""Bytes that the arrays of a file may take together."""


def read_arrays(path: Path) -> dict[str, Array]:
    """Read all arrays of a file.

    Raises:
        CheckpointError: it cannot be read, is no whole ``.npz`` file, holds objects, or unpacks to over ``LARGEST``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > LARGEST:
            raise CheckpointError(f"{path} is refused: it unpacks to {unpacked} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except CheckpointError:
        raise
    # Damaged archives and headers of arrays fail in many ways.
    except Exception as error:
        raise CheckpointError(f"{path} is not a whole file of arrays ({type(error).__name__})") from error
