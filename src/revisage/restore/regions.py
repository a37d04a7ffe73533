"""Soft masks of an aligned face: eyes, mouth, skin, hair; strength per pixel; the head, for pasting."""

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
"""Indices in ``nets.parsenet.CLASSES``: eyes, brows, glasses; mouth and lips; skin, nose, ears and neck; hair."""
SOFTNESS = 0.02
"""Standard deviation of the masks' blurred edges, as a share of the crop."""
EYE, MOUTH_WIDTH, MOUTH_HEIGHT = (0.42, 0.3), 0.72, 0.34
"""Half axes of the ellipses around eyes and mouth, in distances between the eyes; the mouth's across is a share of the
distance between its corners."""
FACE, FACE_BELOW_NOSE = (1.12, 1.6), 0.02
"""Half axes of the face oval, and how far its center lies below the tip of the nose, in distances between the eyes."""


def region_masks(size: int, labels: NDArray[np.uint8] | None = None) -> dict[Region, FloatImage]:
    """Soft masks (size, size) float32 of the parts of an aligned face; their sum is at most 1, the rest is no region.

    ``labels`` are indices in ``nets.parsenet.CLASSES``; None draws the parts where the alignment template has them:
    ellipses around eyes and mouth, an oval face, and hair around its upper half.
    """
    parts = draw_regions(size) if labels is None else label_regions(labels)
    # Blurring a partition leaves one: the masks still add up to at most 1.
    sharp = {region: (parts == index).astype(np.float32) for index, region in enumerate(Region, 1)}
    return {
        region: np.clip(cv2.GaussianBlur(mask, (0, 0), SOFTNESS * size), 0, 1).astype(np.float32)
        for region, mask in sharp.items()
    }


def strength_map(
    size: int, strength: float, regions: Mapping[str, float], labels: NDArray[np.uint8] | None = None
) -> FloatImage:
    """(size, size, 1) float32: the strength of every pixel of an aligned face, without visible edges.

    ``strength`` counts where none of ``regions`` is; for ``labels`` see :func:`region_masks`.
    """
    strengths = np.full((size, size), strength, np.float32)
    if regions:
        masks = region_masks(size, labels)
        for name, value in regions.items():
            strengths += np.float32(value - strength) * masks[Region(name)]
    return np.clip(strengths, 0, 1)[..., None]


def label_regions(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class indices of a face parser -> index in ``Region`` from 1, 0 for none; same shape."""
    table = np.zeros(256, np.uint8)
    for index, region in enumerate(Region, 1):
        table[list(CLASSES[region])] = index
    return table[labels]


def draw_regions(size: int) -> NDArray[np.uint8]:
    """(size, size) index in ``Region`` from 1, 0 for none, as the alignment template has them."""
    points = (TEMPLATE + 0.5) * (size / TEMPLATE_SIZE) - 0.5
    eyes = float(np.linalg.norm(points[1] - points[0]))
    center, mouth = points[2] + np.array([0, FACE_BELOW_NOSE * eyes]), (points[3] + points[4]) / 2
    width = float(np.linalg.norm(points[4] - points[3]))
    index = {region: number for number, region in enumerate(Region, 1)}
    parts = np.zeros((size, size), np.uint8)
    parts[: round(center[1])] = index[Region.HAIR]
    parts[_ellipse(size, center, FACE[0] * eyes, FACE[1] * eyes)] = index[Region.SKIN]
    for eye in points[:2]:
        parts[_ellipse(size, eye, EYE[0] * eyes, EYE[1] * eyes)] = index[Region.EYES]
    parts[_ellipse(size, mouth, MOUTH_WIDTH * width, MOUTH_HEIGHT * eyes)] = index[Region.MOUTH]
    return parts


def _ellipse(size: int, center: NDArray[np.float64], across: float, down: float) -> NDArray[np.bool_]:
    """(size, size) whether a pixel lies in the ellipse with these half axes."""
    rows, columns = np.ogrid[:size, :size]
    return ((columns - center[0]) / across) ** 2 + ((rows - center[1]) / down) ** 2 <= 1


PASTED = (*range(1, 14), 15)
"""Indices in ``nets.parsenet.CLASSES`` of the head. Background, hats, necklaces, necks and clothes stay as they are:
restorers know little of them."""
MASK_SOFTNESS = 11 * 2**0.5 / 512
"""Standard deviation of the mask's blurred edge, as a share of the crop: two blurs of 11 pixels of 512, as GFP-GAN has
them."""
FRAME = 10 / 512
"""Width of the crop's edge that is never pasted, as a share of the crop."""


def head_mask(labels: NDArray[np.uint8]) -> FloatImage:
    """Labels (S, S) -> (S, S) float32 in [0, 1]: how much of the correction is taken, by what pixels show.

    Where the head reaches the edge of the crop the mask falls to 0 as softly as everywhere else.
    """
    size = len(labels)
    table = np.zeros(256, np.float32)
    table[list(PASTED)] = 1
    head = table[labels]
    # Half of a blurred step lies outside: it has to end where the frame begins.
    frame = round((FRAME + 2 * MASK_SOFTNESS) * size)
    head[:frame] = head[-frame:] = head[:, :frame] = head[:, -frame:] = 0
    soft = cv2.GaussianBlur(head, (0, 0), MASK_SOFTNESS * size)
    edge = np.minimum(np.arange(size), np.arange(size)[::-1])
    fade = np.clip(edge / (FRAME * size) - 1, 0, 1).astype(np.float32)
    return np.asarray(soft * np.minimum(fade[:, None], fade[None]), np.float32)
