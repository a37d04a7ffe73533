"""Making a restored face agree with the photo around it: gray stays gray, and no tint ends where the paste does."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.geometry import Affine, compose, resizing
from revisage.restore.oval import squared_distance
from revisage.types import Array, FloatImage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of R, G, B in luma (ITU-R BT.601)."""
SIDE = 64
"""Side of the reduced crop in which tints are measured: grain and detail average out."""
FADE = 0.7, 1.1
"""Distances from the middle of the face, in ovals, between which the correction of tints comes in."""
LEAST = 16
"""Pixels of the reduced crop that must lie at the mask's border for a tint to be measured."""


def is_gray(picture: Array) -> bool:
    """Whether R = G = B in every pixel of (H, W, 3), exactly."""
    return bool((picture[..., 0] == picture[..., 1]).all() and (picture[..., 0] == picture[..., 2]).all())


def correction(
    crop: FloatImage, restored: FloatImage, mask: FloatImage, image_from_crop: Affine, shape: tuple[int, ...]
) -> FloatImage:
    """What to add to a face, such that its colours fit the photo.

    A gray face gets a gray correction. From others the :func:`tint` at the border of the mask is taken away, all of it
    where the mask falls and nothing within the oval of the face, whose colours are the restorer's business.

    Args:
        crop: (S, S, 3) the face before.
        restored: the face after, likewise.
        mask: (S, S) in [0, 1], how much of the correction will be taken.
        image_from_crop: (2, 3), where the crop lies in the photo.
        shape: (height, width, ...) of the photo. What the crop shows outside of it says nothing about its colours.

    Returns:
        (S, S, 3) float32; 0 where the faces are the same, if they are the same everywhere.
    """
    added = restored - crop
    if is_gray(crop):
        return np.asarray(np.repeat((added @ LUMA)[..., None], 3, axis=2), np.float32)
    colour = tint(added, mask, image_from_crop, shape)
    return added - _beside_the_face(len(mask)) * colour if colour.any() else added


def tint(added: FloatImage, mask: FloatImage, image_from_crop: Affine, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The colour, without its luma, that a correction adds where its mask falls from 1 to 0: (3,) float32.

    It is the median over the border: a network that colours the whole square is found out, what it does here and there
    is not. Lightness may differ, the mask's soft edge hides it.
    """
    small, falling = (cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in (added, mask))
    y, x = np.mgrid[:SIDE, :SIDE]
    image_from_small = compose(image_from_crop, resizing(len(mask) / SIDE, len(mask) / SIDE))
    places = np.stack([x, y], axis=-1) @ image_from_small[:, :2].T + image_from_small[:, 2]
    within = ((places >= 0) & (places <= np.array(shape[1::-1]) - 1)).all(axis=-1)
    border = small[(falling > 0.1) & (falling < 0.9) & within]
    if len(border) < LEAST:
        return np.zeros(3, np.float32)
    colour = np.median(border, axis=0).astype(np.float32)
    return np.asarray(colour - colour @ LUMA, np.float32)


@cache
def _beside_the_face(size: int) -> NDArray[np.float32]:
    """(size, size, 1): 0 within the oval of the face, rising smoothly to 1 around it; shared and read only."""
    y, x = np.mgrid[:size, :size]
    distance = np.sqrt(squared_distance(np.stack([x, y], axis=-1).astype(np.float64), size))
    t = np.clip((distance - FADE[0]) / (FADE[1] - FADE[0]), 0, 1)[..., None]
    weight = np.asarray(t * t * (3 - 2 * t), np.float32)
    weight.setflags(write=False)
    return weight
