"""From a photo's own colour space to sRGB and back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from revisage.images.icc.curves import SRGB
from revisage.images.icc.grid import between_srgb
from revisage.images.icc.profile import Primaries, read_primaries
from revisage.types import Array, FloatImage

XYZ_FROM_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""Linear sRGB -> XYZ, adapted from D65 to the D50 of profiles (Bradford)."""
AS_GOOD_AS_SRGB = 1 / 255
"""Largest difference to sRGB of a space that is taken for sRGB."""


@dataclass(frozen=True, slots=True, eq=False)
class ColourSpace:
    """How a photo's values translate.

    Attributes:
        to_srgb: (H, W, 3) float32 in [0, 1] -> the same colours in sRGB, those outside of it at its border.
        from_srgb: the other way.
    """

    to_srgb: Callable[[FloatImage], FloatImage]
    from_srgb: Callable[[FloatImage], FloatImage]

    def restored(self, before: FloatImage, seen: FloatImage, after: FloatImage) -> FloatImage:
        """Bring a network's correction into the photo's space.

        Colours that sRGB does not have stay what they are where nothing was corrected.

        Args:
            before: (H, W, 3) float32 in [0, 1], in the photo's space.
            seen: ``to_srgb(before)``, what the network saw.
            after: what it made of that.

        Returns:
            ``before`` with the correction, in [0, 1]; ``before`` to the last bit where ``after`` equals ``seen``.
        """
        correction = self.from_srgb(after) - self.from_srgb(seen)
        return np.where(correction != 0, np.clip(before + correction, 0, 1), before).astype(np.float32)


@lru_cache(maxsize=32)
def colour_space(icc: bytes) -> ColourSpace | None:
    """The space that an ICC profile describes.

    Profiles of primaries and curves, in colour or gray, are computed exactly; those made of tables through a grid.

    Args:
        icc: a profile, or nothing.

    Returns:
        None for sRGB: no profile, one within 1/255 of sRGB everywhere, or one that nothing can be made of (damaged, of
        inks, or without a way back).
    """
    try:
        primaries = read_primaries(icc) if icc else None
        space = _of_primaries(primaries) if primaries else _of_tables(icc)
    except (ValueError, struct.error):
        return None
    return space if space is not None and not _is_srgb(space) else None


def _of_primaries(primaries: Primaries) -> ColourSpace:
    matrix = XYZ_FROM_SRGB if primaries.xyz_from_linear is None else primaries.xyz_from_linear
    exact = np.linalg.solve(XYZ_FROM_SRGB, matrix)
    srgb_from_photo, photo_from_srgb = exact.astype(np.float32), np.linalg.inv(exact).astype(np.float32)

    def to_srgb(picture: FloatImage) -> FloatImage:
        light = [curve.linear(picture[..., i]) for i, curve in enumerate(primaries.curves)]
        return _picture(SRGB.encoded(_within(np.stack(light, -1) @ srgb_from_photo.T)))

    def from_srgb(picture: FloatImage) -> FloatImage:
        light = _within(SRGB.linear(picture) @ photo_from_srgb.T)
        return _picture(np.stack([curve.encoded(light[..., i]) for i, curve in enumerate(primaries.curves)], -1))

    return ColourSpace(to_srgb, from_srgb)


def _of_tables(icc: bytes) -> ColourSpace | None:
    ways = between_srgb(icc) if icc[16:20] == b"RGB " else None
    return None if ways is None else ColourSpace(*ways)


def _is_srgb(space: ColourSpace) -> bool:
    steps = np.linspace(0, 1, 17, dtype=np.float32)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(17, -1, 3)
    return float(np.abs(space.to_srgb(colours) - colours).max()) <= AS_GOOD_AS_SRGB


def _within(values: Array) -> Array:
    return np.clip(values, 0, 1)


def _picture(values: Array) -> FloatImage:
    return _within(values).astype(np.float32)
