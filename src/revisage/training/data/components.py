"""Eyes and mouth of an aligned face: the classic landmarks file, the boxes of samples, augmentations that move them.

Left and right are those of the image: the left eye has the smaller x.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from revisage.errors import CheckpointError, RecipeError
from revisage.files import atomic_write
from revisage.models.torch_pickle import Allowed, unpickle
from revisage.training.data.degradations.steps import STRICT, Exposure, Probability
from revisage.types import FloatImage

NAMES = ("left_eye", "right_eye", "mouth")
Components = NDArray[np.float64]
"""(3, 3): center x, center y and half the size of the left eye, the right eye and the mouth, in pixels."""
Boxes = NDArray[np.float32]
"""(3, 4): x1, y1, x2, y2 of the left eye, the right eye and the mouth."""
PUBLISHED_SIZE = 512
"""Size of the crops whose pixels the published file counts."""

Augmentation = Callable[[FloatImage, Components | None, np.random.Generator], tuple[FloatImage, Components | None]]
"""(image, components or None, rng) -> new image, new components or None; neither argument is changed."""


@dataclass(frozen=True, config=STRICT)
class Mirror:
    """Exchange left and right."""

    probability: Probability = 0.5

    def __call__(
        self, image: FloatImage, components: Components | None, rng: np.random.Generator
    ) -> tuple[FloatImage, Components | None]:
        if rng.random() >= self.probability:
            return image, components
        mirrored = cv2.flip(image, 1).astype(np.float32, copy=False)
        return mirrored, None if components is None else mirror_components(components, image.shape[1])


@dataclass(frozen=True, config=STRICT)
class Translate:
    """Shift by up to ``reach`` pixels in x and y; the image is continued by its mirror image."""

    probability: Probability = 0.2
    reach: Annotated[int, Field(ge=0)] = 32

    def __call__(
        self, image: FloatImage, components: Components | None, rng: np.random.Generator
    ) -> tuple[FloatImage, Components | None]:
        if rng.random() >= self.probability:
            return image, components
        x, y = (int(value) for value in rng.integers(0, 2 * self.reach + 1, 2))
        edge = (self.reach,) * 4
        padded = np.asarray(cv2.copyMakeBorder(image, *edge, borderType=cv2.BORDER_REFLECT), np.float32)
        shifted = np.ascontiguousarray(padded[y : y + image.shape[0], x : x + image.shape[1]])
        return shifted, None if components is None else components + np.array([self.reach - x, self.reach - y, 0])


@dataclass(frozen=True, config=STRICT)
class ExtendedAugmentation:
    """RestoreFormer++'s: mirror, another exposure (None: none), shift (Wang et al. 2023, arXiv 2308.07228)."""

    mirror: Mirror = Field(default_factory=Mirror)
    exposure: Exposure | None = Field(default_factory=Exposure)
    translate: Translate = Field(default_factory=Translate)

    def __call__(
        self, image: FloatImage, components: Components | None, rng: np.random.Generator
    ) -> tuple[FloatImage, Components | None]:
        image, components = self.mirror(image, components, rng)
        if self.exposure is not None:
            image = self.exposure(image, rng)
        return self.translate(image, components, rng)


def read_components(path: Path) -> dict[str, Components]:
    """Read a classic landmarks file (``FFHQ_eye_mouth_landmarks_512.pth``), without running any code of it.

    A dictionary ``{"00000000": {"left_eye": [x, y, half], "right_eye": ..., "mouth": ...}, ...}`` that ``torch.save``
    wrote, its numbers NumPy scalars or plain ones. Keys of the published file are indices into the sorted dataset, with
    8 digits (RecipeError: no such file, not one of this form, or a pickle that holds anything else).
    """
    if not path.is_file():
        raise RecipeError(f"no landmarks file at {path}")
    try:
        content = unpickle(path, _NUMPY_SCALARS)
        return {str(key): _parse(entry) for key, entry in content.items()}
    except CheckpointError as error:
        raise RecipeError(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecipeError(f"{path} is not a landmarks file of eyes and mouths ({error})") from error


def write_components(path: Path, components: Mapping[str, Components]) -> None:
    """Write a classic landmarks file, atomically; the numbers are NumPy scalars, which the classic tools insist on."""
    content = {
        key: {name: list(row) for name, row in zip(NAMES, part, strict=True)} for key, part in components.items()
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def check_components(components: Mapping[str, Components], names: Sequence[str]) -> None:
    """Raise RecipeError unless every image of a dataset, by its name in the dataset's order, has an entry."""
    keys = ((name.rpartition("/")[2], f"{index:08d}") for index, name in enumerate(names))
    if left_out := [key for key, position in keys if key not in components and position not in components]:
        raise RecipeError(
            f"the landmarks file lacks {len(left_out)} of {len(names)} images, the first of them {left_out[0]}"
        )


def find_components(components: Mapping[str, Components], key: str, index: int) -> Components:
    """The entry of the image ``key``, or of that at ``index`` of a sorted dataset (RecipeError: there is neither)."""
    for name in (key, f"{index:08d}"):
        if name in components:
            return components[name]
    raise RecipeError(f"the landmarks file has neither {key} nor {index:08d}")


def estimate_components(landmarks: NDArray[np.floating]) -> Components:
    """Estimate from five landmarks (5, 2) of an aligned face (image-left eye first), in the same pixels.

    Centers are the eyes and the middle of the mouth's corners. Half sizes are 0.21 of the eye distance and 0.38 of the
    mouth's width, close to the outlines that the published file was made from, and at least 16 pixels as there.
    """
    eye1, eye2, _, mouth1, mouth2 = landmarks.astype(np.float64)
    eye, mouth = 0.21 * np.hypot(*(eye2 - eye1)), 0.38 * np.hypot(*(mouth2 - mouth1))
    centers = np.stack([eye1, eye2, (mouth1 + mouth2) / 2])
    return np.column_stack([centers, np.maximum([eye, eye, mouth], 16.0)])


def mirror_components(components: Components, width: float) -> Components:
    """Components of the mirrored image, a new table: the eyes change places, x becomes ``width`` - x."""
    swapped = components[[1, 0, 2]]
    swapped[:, 0] = width - swapped[:, 0]
    return swapped


def to_boxes(components: Components, eye_enlarge_ratio: float = 1.4) -> Boxes:
    """(x - half + 1, y - half + 1, x + half, y + half), the half sizes of the eyes multiplied before."""
    half = components[:, 2] * (eye_enlarge_ratio, eye_enlarge_ratio, 1.0)
    x, y = components[:, 0], components[:, 1]
    return np.column_stack([x - half + 1, y - half + 1, x + half, y + half]).astype(np.float32)


def _parse(entry: Mapping[str, Any]) -> Components:
    table = np.array([[float(value) for value in entry[name]] for name in NAMES])
    if table.shape != (3, 3) or not np.isfinite(table).all():
        raise ValueError(f"an entry has {table.size} numbers, not 9 finite ones")
    return table


class _NumberType:
    """Stands for NumPy's dtype in a pickle. NumPy's own class would let a file ask for numbers of a gigabyte."""

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
"""Replacements for the names in a pickled NumPy number."""
