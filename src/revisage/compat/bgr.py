"""Pictures as OpenCV has them, B, G, R, and as this library has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError
from revisage.images.alpha import extend_colors, with_alpha
from revisage.types import Array, Image

DTYPES = ("uint8", "uint16")


def rgb_of(picture: Any) -> Image:
    """BGR picture -> RGB; gray is repeated, 16 bits stay 16 bits; visible colors are continued under transparency.

    How deep a picture is says its dtype, never its brightest pixel: a dark photo of 16 bits is one all the same.

    Args:
        picture: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 or uint16: gray, B, G, R, or B, G, R and alpha.

    Returns:
        (H, W, 3) of the same dtype.

    Raises:
        InputError: anything else, such as the None that ``cv2.imread`` returns for what it cannot read.
    """
    if not isinstance(picture, np.ndarray):
        raise InputError(f"a picture is a numpy array, not {type(picture).__name__}: was it read?")
    pixels: Array = picture[:, :, None] if picture.ndim == 2 else picture
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise InputError(f"a picture is gray, BGR or BGRA, (height, width[, 1, 3 or 4]), not {picture.shape}")
    if pixels.dtype.name not in DTYPES:
        raise InputError(f"a picture is uint8 or uint16 here, not {pixels.dtype}")
    colors = extend_colors(pixels) if pixels.shape[2] == 4 else pixels
    return np.ascontiguousarray(colors[:, :, [0, 0, 0] if colors.shape[2] == 1 else [2, 1, 0]])


def bgr_of(picture: Image) -> Image:
    """(H, W, 3) RGB -> BGR."""
    return np.ascontiguousarray(picture[:, :, ::-1])


def with_alpha_of(picture: NDArray[Any], source: NDArray[Any]) -> Image:
    """BGR picture -> BGRA if ``source`` has transparency, scaled to the size of the picture; else the picture."""
    if source.ndim != 3 or source.shape[2] != 4:
        return picture
    return with_alpha(picture, source)
