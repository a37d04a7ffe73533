"""Eyes, mouth, skin and hair of an aligned face as soft masks, and the strength that each of its pixels gets."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.restore.align import TEMPLATE, TEMPLATE_SIZE
from revisage.types import FloatImage, Region

CLASSES: Mapping[Region, tuple[int, ...]] = {
    Region.EYES: (3, 4, 5, 6, 7),
    Region.MOUTH: (10, 11, 12),
    Region.SKIN: (1, 2, 8, 9, 17),
    Region.HAIR: (13,),
}
"""Places in ``nets.parsenet.CLASSES``: eyes with brows and glasses; mouth and lips; skin, nose, ears and neck; hair."""
SOFTNESS = 0.02
"""Standard deviation of the masks' blurred edges, as a share of the crop."""
EYE, MOUTH_WIDTH, MOUTH_HEIGHT = (0.42, 0.3), 0.72, 0.34
"""Half axes of the ellipses around eyes and mouth, in distances between the eyes; the mouth's across is a share of the
distance between its corners."""
FACE, FACE_BELOW_NOSE = (1.12, 1.6), 0.02
"""Half axes of the oval of the face, likewise, and how far its middle lies below the tip of the nose."""


def region_masks(size: int, labels: NDArray[np.uint8] | None = None) -> dict[Region, FloatImage]:
    """Soft masks of the parts of an aligned face.

    Args:
        size: side of the crop.
        labels: (size, size) places in ``nets.parsenet.CLASSES``; None draws the parts where the alignment template has
            them: ellipses around eyes and mouth, an oval face, and hair around its upper half.

    Returns:
        (size, size) float32 in [0, 1] for each region. Their sum is at most 1; what is missing is no region.
    """
    parts = drawn_parts(size) if labels is None else labelled_parts(labels)
    # Blurring a partition leaves one: the masks still add up to at most 1.
    sharp = {region: (parts == place).astype(np.float32) for place, region in enumerate(Region, 1)}
    return {
        region: np.clip(cv2.GaussianBlur(mask, (0, 0), SOFTNESS * size), 0, 1).astype(np.float32)
        for region, mask in sharp.items()
    }


def strength_map(
    size: int, strength: float, regions: Mapping[str, float], labels: NDArray[np.uint8] | None = None
) -> FloatImage:
    """(size, size, 1) float32: the strength of every pixel of an aligned face, without visible edges.

    Args:
        size: side of the crop.
        strength: where no region is named.
        regions: strengths by the name of the region.
        labels: see ``region_masks``.
    """
    strengths = np.full((size, size), strength, np.float32)
    if regions:
        masks = region_masks(size, labels)
        for name, value in regions.items():
            strengths += np.float32(value - strength) * masks[Region(name)]
    return np.clip(strengths, 0, 1)[..., None]


def labelled_parts(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Classes of a parsing network -> place in ``Region`` from 1, 0 where there is none; same shape."""
    table = np.zeros(256, np.uint8)
    for place, region in enumerate(Region, 1):
        table[list(CLASSES[region])] = place
    return table[labels]


def drawn_parts(size: int) -> NDArray[np.uint8]:
    """(size, size) place in ``Region`` from 1, 0 where there is none, as the alignment template has them."""
    points = (TEMPLATE + 0.5) * (size / TEMPLATE_SIZE) - 0.5
    eyes = float(np.linalg.norm(points[1] - points[0]))
    middle, mouth = points[2] + np.array([0, FACE_BELOW_NOSE * eyes]), (points[3] + points[4]) / 2
    width = float(np.linalg.norm(points[4] - points[3]))
    places = {region: place for place, region in enumerate(Region, 1)}
    parts = np.zeros((size, size), np.uint8)
    parts[: round(middle[1])] = places[Region.HAIR]
    parts[_ellipse(size, middle, FACE[0] * eyes, FACE[1] * eyes)] = places[Region.SKIN]
    for eye in points[:2]:
        parts[_ellipse(size, eye, EYE[0] * eyes, EYE[1] * eyes)] = places[Region.EYES]
    parts[_ellipse(size, mouth, MOUTH_WIDTH * width, MOUTH_HEIGHT * eyes)] = places[Region.MOUTH]
    return parts


def _ellipse(size: int, middle: NDArray[np.float64], across: float, down: float) -> NDArray[np.bool_]:
    """(size, size) whether a pixel lies in the ellipse with these half axes."""
    rows, columns = np.ogrid[:size, :size]
    return ((columns - middle[0]) / across) ** 2 + ((rows - middle[1]) / down) ** 2 <= 1
