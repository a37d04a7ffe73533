"""Old prints: scratches, creases and dust, found by a network and filled before anything else is done to a photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import WeightsError
from revisage.restore.color_match import LUMA
from revisage.restore.upscale import MIN_TILE, TiledUpscaler
from revisage.types import Array, Image

Repair: TypeAlias = Callable[[Image], Image]
"""(H, W, 3) of any allowed dtype -> the same shape and dtype; what is not damaged stays as it is, to the last bit."""
SURE = 0.95
"""Probability that damage has at some pixel; what stays below everywhere is taken for a part of the photo."""
LIKELY = 0.4
"""Probability of all pixels that belong to it."""
STANDS_OUT = 20 / 255
"""Least RMS of the luma that damage adds to the photo around a place."""
ONE_SIDED = 0.97
"""Least share of it that has one sign: damage is brighter, or darker, than what is on both sides of it."""
AROUND = 5.0
"""Standard deviation of the window of both, in pixels."""
MAX_WIDTH = 25
"""Damage that is wider than this, in pixels, is left alone: what it hid would have to be invented."""
REACH = 3
"""Pixels around damage that it is filled from."""
_DISK: Array = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (MAX_WIDTH, MAX_WIDTH))


@dataclass(frozen=True)
class Repairer:
    """Fills thin and small defects. Stateless; any number of threads may share one.

    Attributes:
        network: (1, 3, H, W) float32 RGB in [0, 1], H and W multiples of 16 -> (1, 4, H, W), whose last channel is the
            probability of damage; raises MemoryError where memory is short.
    """

    network: Callable[[NDArray[np.float32]], NDArray[np.float32]] = field(repr=False)

    def __call__(self, image: Image) -> Image:
        """Repair a photo, in tiles; see ``Repair`` (DeviceError: not even the smallest tiles find room in memory).

        WeightsError: the network gives values that are not finite.
        """
        return TiledUpscaler(self._repair_tile, 1, overlap=MIN_TILE)(image, 1)

    def _repair_tile(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, 3, H, W) in [0, 1] -> the same shape."""
        probability = self.network(tile)[0, 3]
        if not np.isfinite(probability).all():
            raise WeightsError("the repair network returns values that are not finite")
        mask = thin_parts(find_damage(probability))
        if not mask.any():
            return tile
        filled = np.stack([fill(channel, mask) for channel in tile[0]])
        mask = outstanding(mask, np.tensordot(LUMA, tile[0] - filled, 1))
        return np.where(mask, filled, tile)


def find_damage(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W) -> where damage is: what hangs together with a place that is surely damaged (Canny 1986)."""
    count, connected = cv2.connectedComponents((probability > LIKELY).astype(np.uint8))
    labels = np.asarray(connected, np.int32)
    is_damage = np.zeros(count, np.bool_)
    is_damage[labels[probability > SURE]] = True
    is_damage[0] = False  # all that is not likely
    return is_damage[labels]


def thin_parts(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The thin or small parts of a mask, (H, W), with the pixels beside them."""
    # Beyond the border the mask goes on, or a wide stain that meets it would count as thin there.
    padded = np.pad(found.astype(np.uint8), MAX_WIDTH, mode="edge")
    opened: Array = cv2.morphologyEx(padded, cv2.MORPH_OPEN, _DISK)
    # Grown again, since the disk does not reach into corners.
    wide = cv2.dilate(opened, _DISK)[MAX_WIDTH:-MAX_WIDTH, MAX_WIDTH:-MAX_WIDTH]
    return cv2.dilate((found & (wide == 0)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def fill(channel: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) in [0, 1] with what the mask hides continued from around it (Telea 2004), to 16 bits."""
    levels = np.rint(channel * np.float32(65535)).astype(np.uint16)
    filled = cv2.inpaint(levels, mask.astype(np.uint8), REACH, cv2.INPAINT_TELEA)
    return filled.astype(np.float32) / np.float32(65535)


def outstanding(mask: NDArray[np.bool_], added: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The places of a mask (H, W) around which it is clearly brighter, or clearly darker, than what would fill it.

    ``added`` is the luma (H, W) of the photo less that of the filling.
    """
    covered = mask.astype(np.float32)
    total, size, power, cover = (
        cv2.GaussianBlur(values, (0, 0), AROUND)
        for values in (added * covered, np.abs(added) * covered, np.square(added) * covered, covered)
    )
    return mask & (power > STANDS_OUT**2 * cover) & (np.abs(total) > ONE_SIDED * size)
