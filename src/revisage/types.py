"""Types and conventions, stated once.

Images      arrays of shape (H, W, 3), channels R, G, B; uint8 (0..255), uint16 (0..65535) or float32 (0..1).
Working     inside the pipeline images are float32 in [0, 1], whatever they were outside.
Tensors     (N, 3, H, W), R, G, B, float, in [-1, 1].
Pixels      the center of the first pixel is (0, 0); an image of width W spans -0.5 .. W - 0.5.
Points      (x, y) in pixels. Boxes (x1, y1, x2, y2) in pixels.
Landmarks   five points: image-left eye, image-right eye, nose tip, image-left and image-right mouth corner;
            left and right as they are when the face stands upright.
Matrices    (2, 3) affine maps named ``target_from_source``: target = M[:, :2] @ source + M[:, 2].
lq, gt      the degraded image and its original, as in the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""Any numpy array; the docstring beside it says shape, type and range."""
LITTLE_CHANGE = 1.5
"""Mean change of a face, in 8-bit levels, below which one sees no difference side by side: little to restore."""
Image: TypeAlias = NDArray[np.uint8 | np.uint16 | np.float32]
"""An image as stated above."""
FloatImage: TypeAlias = NDArray[np.float32]
"""An image in working form: float32, [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A detected face.

    Attributes:
        box: (4,) float32, x1, y1, x2, y2 in pixels of the image; may reach beyond its border.
        landmarks: (5, 2) float32 points in pixels of the image.
        score: detection score in [0, 1].
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float

    def __repr__(self) -> str:
        return f"Face(box={_shown(self.box)}, score={self.score:.2f})"


@dataclass(frozen=True, slots=True, eq=False)
class AlignedFace:
    """A face in the position that restorers are trained for.

    Attributes:
        crop: (S, S, 3) float32 in [0, 1].
        crop_from_image: (2, 3) float64 similarity from image pixels to crop pixels.
    """

    crop: FloatImage
    crop_from_image: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"AlignedFace(crop={_shown(self.crop)})"


class Region(StrEnum):
    """A part of a face whose strength can be chosen."""

    EYES = "eyes"
    MOUTH = "mouth"
    SKIN = "skin"
    HAIR = "hair"


class FaceStatus(StrEnum):
    """The state of a face. In results it is one of all but the first."""

    DETECTED = "detected"
    RESTORED = "restored"
    NOT_SELECTED = "not selected"
    TOO_SMALL = "too small"
    KEPT = "kept"
    """Restoring would have changed the face more than ``min_identity`` allows."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class RestoredFace:
    """A face and its restoration.

    Attributes:
        box: (4,) float32 in pixels of the input image, or None if the whole image is an aligned face.
        landmarks: (5, 2) float32 points in pixels of the input image, or None if the whole image is an aligned face.
        score: detection score, 1 for aligned input.
        status: see :class:`FaceStatus`.
        reason: one line when it was not restored, else "".
        crop: (S, S, 3) aligned input in the image's dtype, None when not restored.
        restored: (S, S, 3) aligned result in the image's dtype, None when not restored.
        strength: restoration strength: as asked for, or less if the identity guard reduced it (regions in the same
            proportion). 0 when not restored.
        similarity: cosine similarity in [-1, 1] of the embeddings of ``crop`` and ``restored``; of a kept face, that of
            a full restoration. None unless ``min_identity`` was set.
        change: mean absolute difference of ``crop`` and ``restored`` in 8-bit levels, 0..255; below ``LITTLE_CHANGE``
            it is hardly visible. 0 when not restored.
    """

    box: NDArray[np.float32] | None
    landmarks: NDArray[np.float32] | None
    score: float
    status: FaceStatus
    reason: str = ""
    crop: Image | None = None
    restored: Image | None = None
    strength: float = 0.0
    similarity: float | None = None
    change: float = 0.0

    def __repr__(self) -> str:
        parts = [str(self.status), *([self.reason] if self.reason else []), f"box={_shown(self.box)}"]
        return f"RestoredFace({', '.join(parts)}, score={self.score:.2f})"


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """A restored image.

    Attributes:
        image: (H * scale, W * scale, 3) in the dtype of the input; 4 channels, RGBA, if that had transparency.
        faces: one entry per detected face, left to right and top to bottom, or as ``Selection.order`` says.
        left_out: for each thing that the input holds and ``image`` does not (further frames of a Pillow image, say) a
            few words; empty: nothing was lost.
    """

    image: Image
    faces: list[RestoredFace]
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        left_out = f", left_out={self.left_out!r}" if self.left_out else ""
        return f"Restoration(image={_shown(self.image)}, faces={self.faces!r}{left_out})"


def _shown(values: Array | None) -> str:
    """A short description: numbers of a box, shape and dtype of anything larger. Callers' boxes may be lists."""
    if values is None:
        return "None"
    array = np.asarray(values)
    return str(np.round(array).astype(int).tolist()) if array.shape == (4,) else f"<{array.shape} {array.dtype}>"
