"""Backgrounds that another program enlarges: the classic ``bg_upsampler``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import cv2

from revisage.compat.bgr import bgr_of, rgb_of
from revisage.images.pixels import from_float, to_float
from revisage.restore.upscale import scaled_size
from revisage.types import Array, Image


class BackgroundUpsampler(Protocol):
    """What ``GFPGANer`` takes, Real-ESRGAN's ``RealESRGANer`` for one."""

    def enhance(self, img: Any, /, *, outscale: float) -> tuple[Any, ...]:
        """BGR picture and scale -> (the enlarged picture in BGR, anything)."""
        ...


def upscaling_by(upsampler: BackgroundUpsampler) -> Callable[[Image, float], Image]:
    """A classic upsampler as a function of this library: (RGB picture, scale) -> the enlarged picture."""

    def upscale(picture: Image, scale: float) -> Image:
        scaled_size(picture, scale)  # refuses wrong scales before time is spent on them
        return fitted(upsampler.enhance(bgr_of(picture), outscale=scale)[0], picture, scale)

    return upscale


def fitted(background: Any, picture: Image, scale: float) -> Image:
    """What another program enlarged (BGR), as the background of a picture.

    Args:
        background: BGR, gray or BGRA, uint8 or uint16, of any size.
        picture: (H, W, 3) what was enlarged.
        scale: sides of the result over sides of the picture.

    Returns:
        (H * scale, W * scale, 3) RGB in the dtype of the picture.

    Raises:
        InputError: ``background`` is no picture, or ``scale`` is out of range.
    """
    found = rgb_of(background)
    height, width = scaled_size(picture, scale)
    if found.shape[:2] != (height, width):
        method = cv2.INTER_AREA if found.shape[0] > height else cv2.INTER_LANCZOS4
        resized: Array = cv2.resize(found, (width, height), interpolation=method)
        found = resized.astype(found.dtype, copy=False)
    return found if found.dtype == picture.dtype else from_float(to_float(found), picture.dtype)
