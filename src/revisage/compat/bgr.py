"""Images in the channel order of OpenCV, B, G, R, and backgrounds that another program enlarges in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError
from revisage.images.alpha import extend_colors, with_alpha
from revisage.images.pixels import from_float, to_float
from revisage.restore.upscale import scaled_size
from revisage.types import Array, Image

DTYPES = ("uint8", "uint16")


def to_rgb(image: Any) -> Image:
    """BGR image -> RGB; gray is repeated, 16 bits stay 16 bits; visible colors are continued under transparency.

    How deep an image is says its dtype, never its brightest pixel: a dark photo of 16 bits is one all the same.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 or uint16: gray, B, G, R, or B, G, R and alpha.

    Returns:
        (H, W, 3) of the same dtype.

    Raises:
        InputError: anything else, such as the None that ``cv2.imread`` returns for what it cannot read.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"an image is a numpy array, not {type(image).__name__}: was it read?")
    pixels: Array = image[:, :, None] if image.ndim == 2 else image
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise InputError(f"an image is gray, BGR or BGRA, (height, width[, 1, 3 or 4]), not {image.shape}")
    if pixels.dtype.name not in DTYPES:
        raise InputError(f"an image is uint8 or uint16 here, not {pixels.dtype}")
    colors = extend_colors(pixels) if pixels.shape[2] == 4 else pixels
    return np.ascontiguousarray(colors[:, :, [0, 0, 0] if colors.shape[2] == 1 else [2, 1, 0]])


def to_bgr(image: Image) -> Image:
    """(H, W, 3) RGB -> BGR."""
    return np.ascontiguousarray(image[:, :, ::-1])


def copy_alpha(image: NDArray[Any], source: NDArray[Any]) -> Image:
    """BGR image -> BGRA if ``source`` has transparency, scaled to the size of the image; else the image."""
    if source.ndim != 3 or source.shape[2] != 4:
        return image
    return with_alpha(image, source)


class BackgroundUpsampler(Protocol):
    """What ``GFPGANer`` takes, Real-ESRGAN's ``RealESRGANer`` for one."""

    def enhance(self, img: Any, /, *, outscale: float) -> tuple[Any, ...]:
        """BGR image and scale -> (the enlarged image in BGR, anything)."""
        ...


def wrap_upsampler(upsampler: BackgroundUpsampler) -> Callable[[Image, float], Image]:
    """A classic upsampler as a function of this library: (RGB image, scale) -> the enlarged image."""

    def upscale(image: Image, scale: float) -> Image:
        scaled_size(image, scale)  # refuses wrong scales before time is spent on them
        return fit_background(upsampler.enhance(to_bgr(image), outscale=scale)[0], image, scale)

    return upscale


def fit_background(background: Any, image: Image, scale: float) -> Image:
    """An image that another program enlarged (BGR), as the background of an image.

    Args:
        background: BGR, gray or BGRA, uint8 or uint16, of any size.
        image: (H, W, 3) what was enlarged.
        scale: output scale factor.

    Returns:
        (H * scale, W * scale, 3) RGB in the dtype of the image.

    Raises:
        InputError: ``background`` is no image, or ``scale`` is out of range.
    """
    found = to_rgb(background)
    height, width = scaled_size(image, scale)
    if found.shape[:2] != (height, width):
        method = cv2.INTER_AREA if found.shape[0] > height else cv2.INTER_LANCZOS4
        resized: Array = cv2.resize(found, (width, height), interpolation=method)
        found = resized.astype(found.dtype, copy=False)
    return found if found.dtype == image.dtype else from_float(to_float(found), image.dtype)
