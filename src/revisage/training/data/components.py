"""Where the eyes and the mouth of an aligned face are: the classic landmarks file, and the boxes of training samples.

Left and right are those of the picture: the left eye has the smaller x.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from revisage.errors import CheckpointError, RecipeError
from revisage.files import atomic_write
from revisage.models.torch_pickle import Allowed, unpickle

NAMES = ("left_eye", "right_eye", "mouth")
Components = NDArray[np.float64]
"""(3, 3): centre x, centre y and half the side of the left eye, the right eye and the mouth, in pixels."""
Boxes = NDArray[np.float32]
"""(3, 4): x1, y1, x2, y2 of the same."""
PUBLISHED_SIZE = 512
"""Side of the crops whose pixels the published file counts."""


def read_components(path: Path) -> dict[str, Components]:
    """Read a classic landmarks file (``FFHQ_eye_mouth_landmarks_512.pth``), without running any code of it.

    The file is a dictionary ``{"00000000": {"left_eye": [x, y, half], "right_eye": ..., "mouth": ...}, ...}`` that
    ``torch.save`` wrote, its numbers NumPy scalars or plain ones.

    Returns:
        Key -> components. Keys of the published file are places in the sorted dataset, with 8 digits.

    Raises:
        RecipeError: no such file, not one of this form, or a pickle that holds anything else.
    """
    if not path.is_file():
        raise RecipeError(f"no landmarks file at {path}")
    try:
        content = unpickle(path, _NUMPY_SCALARS)
        return {str(key): _components(entry) for key, entry in content.items()}
    except CheckpointError as error:
        raise RecipeError(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecipeError(f"{path} is not a landmarks file of eyes and mouths ({error})") from error


def write_components(path: Path, components: Mapping[str, Components]) -> None:
    """Write a classic landmarks file, atomically; the numbers are NumPy scalars, which the classic tools insist on.

    Raises:
        OutputError: the file cannot be written; an earlier one is intact.
    """
    content = {
        key: {name: list(row) for name, row in zip(NAMES, part, strict=True)} for key, part in components.items()
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def find(components: Mapping[str, Components], name: str, index: int) -> Components:
    """The entry of the picture called ``name``, or else of the one at place ``index`` of a dataset sorted by name.

    Raises:
        RecipeError: there is neither.
    """
    for key in (name, f"{index:08d}"):
        if key in components:
            return components[key]
    raise RecipeError(f"the landmarks know neither {name} nor {index:08d}")


def components_of(landmarks: NDArray[np.floating]) -> Components:
    """Estimate from five landmarks (5, 2) of an aligned face (image-left eye first), in the same pixels.

    Centres are the eyes and the middle of the mouth's corners. Half sides are 0.21 of the eyes' distance and 0.38 of
    the mouth's width, close to the outlines that the published file was made from, and at least 16 pixels as there.
    """
    eye1, eye2, _, mouth1, mouth2 = landmarks.astype(np.float64)
    eye, mouth = 0.21 * np.hypot(*(eye2 - eye1)), 0.38 * np.hypot(*(mouth2 - mouth1))
    centres = np.stack([eye1, eye2, (mouth1 + mouth2) / 2])
    return np.column_stack([centres, np.maximum([eye, eye, mouth], 16.0)])


def mirrored(components: Components, width: float) -> Components:
    """Components of the mirrored picture, a new table: the eyes change places, x becomes ``width`` - x."""
    swapped = components[[1, 0, 2]]
    swapped[:, 0] = width - swapped[:, 0]
    return swapped


def boxes_of(components: Components, eye_enlarge_ratio: float = 1.4) -> Boxes:
    """(x - half + 1, y - half + 1, x + half, y + half), the half sides of the eyes multiplied before."""
    half = components[:, 2] * (eye_enlarge_ratio, eye_enlarge_ratio, 1.0)
    x, y = components[:, 0], components[:, 1]
    return np.column_stack([x - half + 1, y - half + 1, x + half, y + half]).astype(np.float32)


def _components(entry: Mapping[str, Any]) -> Components:
    table = np.array([[float(value) for value in entry[name]] for name in NAMES])
    if table.shape != (3, 3) or not np.isfinite(table).all():
        raise ValueError(f"an entry has {table.size} numbers, not 9 finite ones")
    return table


class _NumberType:
    """What a pickle says of a NumPy number's type. NumPy's own class would let a file ask for numbers of a gigabyte."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = {"f8": "d", "f4": "f", "i8": "q", "i4": "i"}[code]
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _number(kind: _NumberType, data: bytes) -> float:
    return struct.unpack(kind.order + kind.code, data)[0]


_NUMPY_SCALARS: Allowed = (
    (_NumberType, "numpy.dtype"),
    (_number, "numpy._core.multiarray.scalar"),
    (_number, "numpy.core.multiarray.scalar"),  # of NumPy 1
)
"""What stands in for that which a pickled NumPy number names."""
