"""Pixels of Pillow images, in whatever mode, as arrays; upright."""

from __future__ import annotations

import io
import warnings

import numpy as np
import PIL.Image
import PIL.ImageCms

from revisage.errors import ImageError
from revisage.images.metadata import read_orientation
from revisage.types import Array

_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
_DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_UNSUPPORTED_MODES = frozenset({"F", "LAB"})
_ROWS = 256
"""Rows that are converted at a time."""


def from_pillow(image: PIL.Image.Image) -> Array:
    """Decode a Pillow image that somebody else opened or made.

    Returns (H, W, 1..4) gray, gray and alpha, RGB or RGBA, upright by its EXIF orientation; uint16 in the modes
    ``I;16`` and ``I``, else uint8 (ImageError: a mode that cannot be restored, values out of range, or the file behind
    it is damaged).
    """
    try:
        image.load()  # some formats come upright by this, and lose their orientation
        pixels = decode_mode(image)
    except (OSError, SyntaxError, EOFError) as error:
        raise ImageError(f"cannot read the Pillow image: {error}") from error
    if pixels is None:
        raise ImageError(f"a Pillow image of mode {image.mode} cannot be restored; convert it to RGB")
    return orient(pixels, read_orientation(image))


def find_lost_by_pillow(image: PIL.Image.Image) -> tuple[str, ...]:
    """Name what the file behind a Pillow image holds, and the pixels of that image do not."""
    frames = getattr(image, "n_frames", 1)
    lost = [f"{frames - 1} further frame{'s' if frames > 2 else ''}"] if frames > 1 else []
    if image.mode in ("RGB", "RGBA", "LA") and ";16" in str(getattr(image, "tile", "")):
        lost.append("8 of 16 bits (Pillow keeps 8; revisage.read_image reads all)")
    return tuple(lost)


def decode_mode(opened: PIL.Image.Image) -> Array | None:
    """Decode (H, W, 1..4) pixels as they are stored, uint16 for deep modes, else uint8; None for an unsupported mode.

    ImageError: mode ``I`` with values that are no 16-bit ones.
    """
    if opened.mode in _UNSUPPORTED_MODES:
        return None
    if opened.mode in _DEEP_MODES:
        return _decode_deep(opened)
    if opened.mode == "CMYK":
        opened = _cmyk_to_rgb(opened)
    gray, alpha = opened.mode in _GRAY_MODES, opened.has_transparency_data
    mode = ("LA" if alpha else "L") if gray else ("RGBA" if alpha else "RGB")
    width, height = opened.size
    pixels = np.empty((height, width, len(mode)), np.uint8)
    for top in range(0, height, _ROWS):  # Pillow needs two more copies of what it converts
        box = 0, top, width, min(top + _ROWS, height)
        rows = opened.resize((width, box[3] - top), PIL.Image.Resampling.NEAREST, box)  # crop() has a limit on pixels
        pixels[top : top + _ROWS] = np.asarray(rows.convert(mode)).reshape(-1, width, len(mode))
    return pixels


def orient(pixels: Array, orientation: int) -> Array:
    """Undo the EXIF orientation 1..8 (EXIF 2.32, 4.6.4), which says where the first stored row and column belong."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _decode_deep(opened: PIL.Image.Image) -> Array:
    levels = np.asarray(opened)
    if levels.min(initial=0) < 0 or levels.max(initial=0) > 65535:
        raise ImageError(f"a gray image of mode {opened.mode} holds 0 to 65535, not {levels.min()} to {levels.max()}")
    if opened.mode == "I" and 0 < levels.max(initial=0) <= 255:
        warnings.warn(
            "the gray image of mode I holds 255 of 65535 at most, nearly black; convert it to L if 8 bits are meant",
            stacklevel=2,
        )
    pixels = levels.astype(np.uint16)[:, :, None]
    transparent = opened.info.get("transparency")
    if not isinstance(transparent, int):
        return pixels
    return np.dstack([pixels, np.where(pixels == transparent, 0, 65535).astype(np.uint16)])


def _cmyk_to_rgb(opened: PIL.Image.Image) -> PIL.Image.Image:
    """Convert by the file's own profile; by the plain formula if it has none, or one that cannot be used."""
    profile = opened.info.get("icc_profile")
    try:
        inks = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        screen = PIL.ImageCms.createProfile("sRGB")
        converted = PIL.ImageCms.profileToProfile(opened, inks, screen, outputMode="RGB")
    except (PIL.ImageCms.PyCMSError, OSError):
        converted = None
    return converted or opened.convert("RGB")
