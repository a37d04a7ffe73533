"""Profiles made of tables: both ways to sRGB as grids of colours, filled by Little CMS."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from revisage.types import Array, FloatImage

POINTS = 52
"""Colours a side of the grid: every fifth of the 256 values. Its colours are exact to half of 1/255, the 8 bits that
Pillow uses Little CMS with."""

Way = Callable[[FloatImage], FloatImage]


def between_srgb(icc: bytes) -> tuple[Way, Way] | None:
    """To sRGB and back; None if the profile is damaged or has no table for one of the ways."""
    import PIL.ImageCms

    try:
        photo = PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = PIL.ImageCms.createProfile("sRGB")
        there, back = (_filled(*ends) for ends in ((photo, srgb), (srgb, photo)))
    except (PIL.ImageCms.PyCMSError, OSError):
        return None
    return partial(look_up, grid=there), partial(look_up, grid=back)


def look_up(picture: FloatImage, grid: Array) -> FloatImage:
    """Trilinear interpolation in a grid of colours.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        grid: (n, n, n, 3) float32, by red, green and blue.
    """
    last = len(grid) - 1
    places = np.clip(picture, 0, 1) * np.float32(last)
    lower = np.minimum(places.astype(np.intp), last - 1)
    shares = places - lower
    result = np.zeros(picture.shape, np.float32)
    for corner in product((0, 1), repeat=3):
        weight = np.prod(np.where(corner, shares, 1 - shares), -1, keepdims=True)
        r, g, b = (lower[..., i] + corner[i] for i in range(3))
        result += weight * grid[r, g, b]
    return result


def _filled(source: Any, target: Any) -> Array:
    import PIL.Image
    import PIL.ImageCms

    steps = np.linspace(0, 255, POINTS).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(POINTS, -1, 3)
    intent = PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = PIL.ImageCms.buildTransform(source, target, "RGB", "RGB", intent)
    made = transform.point(PIL.Image.fromarray(colours))
    return (np.asarray(made, np.float32) / 255).reshape(POINTS, POINTS, POINTS, 3)
