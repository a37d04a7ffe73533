"""Networks know sRGB alone: faces of other colour spaces are shown to them in sRGB and brought back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from revisage.images.icc import ColorSpace
from revisage.types import FloatImage

Enhance = Callable[[Sequence[FloatImage]], list[FloatImage | None]]
"""Aligned faces (S, S, 3) in [0, 1] -> restored ones; None for what cannot be restored."""


def in_srgb(enhance: Enhance, spaces: Sequence[ColorSpace | None]) -> Enhance:
    """The same for faces that lie in colour spaces of their own.

    Args:
        enhance: for faces in sRGB.
        spaces: that of each face that will be given; None for sRGB.
    """
    if not any(spaces):
        return enhance

    def managed(crops: Sequence[FloatImage]) -> list[FloatImage | None]:
        seen = [crop if space is None else space.to_srgb(crop) for crop, space in zip(crops, spaces, strict=True)]
        return [
            after if after is None or space is None else space.apply_correction(before, shown, after)
            for before, shown, after, space in zip(crops, seen, enhance(seen), spaces, strict=True)
        ]

    return managed
