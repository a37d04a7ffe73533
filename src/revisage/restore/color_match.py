"""Color matching of a restored face: gray stays gray, and no tint ends where the paste does."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.geometry import Affine, compose, resizing, smoothstep
from revisage.images.pixels import is_gray
from revisage.types import FloatImage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of R, G, B in luma (ITU-R BT.601)."""
TINT_SIZE = 64
"""Side of the reduced crop in which tints are measured; grain and detail average out."""
TINT_FADE = 0.7, 1.1
"""Distances from the center of the face, in ovals, between which the correction of tints comes in."""
MIN_PIXELS = 16
"""Minimum number of border pixels for a tint to be measured."""


def correction(
    crop: FloatImage, restored: FloatImage, mask: FloatImage, image_from_crop: Affine, shape: tuple[int, ...]
) -> FloatImage:
    """The correction (S, S, 3) of a face that makes its colors fit the photo; 0 where nothing differs, if nothing does.

    A gray face gets a gray correction. From others the :func:`tint` at the border of the mask, (S, S) in [0, 1], is
    taken away, all of it where the mask falls and nothing within the oval of the face, whose colors are the restorer's
    business. Pixels of the crop outside of the photo, of this ``shape``, say nothing about its colors.
    """
    added = restored - crop
    if is_gray(crop):
        return np.asarray(np.repeat((added @ LUMA)[..., None], 3, axis=2), np.float32)
    color = tint(added, mask, image_from_crop, shape)
    return added - _beside_the_face(len(mask)) * color if color.any() else added


def tint(added: FloatImage, mask: FloatImage, image_from_crop: Affine, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The color, without its luma, that a correction adds where its mask falls from 1 to 0: (3,) float32.

    It is the median over the border: a network that colors the whole square is found out, local changes
    are not. Lightness may differ, the mask's soft edge hides it.
    """
    small, falling = (cv2.resize(one, (TINT_SIZE, TINT_SIZE), interpolation=cv2.INTER_AREA) for one in (added, mask))
    y, x = np.mgrid[:TINT_SIZE, :TINT_SIZE]
    image_from_small = compose(image_from_crop, resizing(len(mask) / TINT_SIZE, len(mask) / TINT_SIZE))
    points = np.stack([x, y], axis=-1) @ image_from_small[:, :2].T + image_from_small[:, 2]
    within = ((points >= 0) & (points <= np.array(shape[1::-1]) - 1)).all(axis=-1)
    border = small[(falling > 0.1) & (falling < 0.9) & within]
    if len(border) < MIN_PIXELS:
        return np.zeros(3, np.float32)
    color = np.median(border, axis=0).astype(np.float32)
    return np.asarray(color - color @ LUMA, np.float32)


@cache
def _beside_the_face(size: int) -> NDArray[np.float32]:
    """(size, size, 1): 0 within the oval of the face, rising smoothly to 1 around it; shared and read only."""
    y, x = np.mgrid[:size, :size]
    distance = np.sqrt(squared_distance(np.stack([x, y], axis=-1).astype(np.float64), size))
    weight = smoothstep(distance, *TINT_FADE)[..., None]
    weight.setflags(write=False)
    return weight


CENTER, AXES = (256 / 512, 290 / 512), (120 / 512, 170 / 512)
"""Center and half axes of the oval in the alignment template, as shares of the crop: x, y."""


def squared_distance(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """How far points (..., 2) of an aligned crop lie from the center of the face: squares, 0 there, 1 on its oval."""
    return ((((points + 0.5) / size - CENTER) / AXES) ** 2).sum(axis=-1)
