"""Image files -> upright pixels, with everything that makes a file hard to read told in one line."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from revisage.errors import ImageError, InputError, suggest_keywords
from revisage.images import metadata
from revisage.images.alpha import extend_colors, is_transparent
from revisage.images.decode import (
    HINT,
    MAX_PIXELS,
    DamagedError,
    ImageFile,
    count_frames,
    iterate_frames,
    open_and_decode,
    open_image,
)
from revisage.images.sources import ImageSource
from revisage.types import Array, Image

MEANT = {
    **dict.fromkeys(("path", "file", "filename", "image", "data", "fp"), "source"),
    **dict.fromkeys(("truncated", "damaged", "force", "loadtruncated"), "allow_damaged"),
    **dict.fromkeys(("limit", "maxsize", "maximagepixels"), "max_pixels"),
}
"""Words of other tools -> keywords of ``read_image``."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """The contents of a file, to be restored.

    Attributes:
        frames: (H, W, 3) images as ``read_image`` returns them: one, or all of an animation, or the pages of a TIFF
            file, which may differ in size.
        seconds: of an animation, when each frame is shown; else empty.
        profile: ICC profile of their pixels, see ``read_profile``.
        transparent: whether something of it is transparent.
        warnings: what was wrong with the file, though it could be read: one line each.
    """

    frames: tuple[Image, ...]
    seconds: tuple[float, ...] = ()
    profile: bytes = b""
    transparent: bool = False
    warnings: tuple[str, ...] = ()


@suggest_keywords(MEANT)
def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, allow_damaged: bool = False) -> Image:
    """Read an image, upright.

    JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF and HEIC (the latter with the extra ``heif``), told by their content, in gray,
    palette, RGB or CMYK (converted by its profile). The values are those of the file, in its own color space; see
    :func:`read_profile`. Transparency is left out (the visible colors are continued under it), animations give their
    first frame. A damaged file that has all of its pixels is read with a UserWarning.

    Args:
        source: a file's path, its bytes, or a file object that is open for reading bytes.
        max_pixels: larger images are refused before they are decoded.
        allow_damaged: read what is there of a truncated or damaged file, with a UserWarning.

    Returns:
        (H, W, 3) RGB; uint16 if the file holds more than 8 bits a channel, else uint8.

    Raises:
        ImageError: the file cannot be read, is no image, damaged, or too large. One line that names it.
    """
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"max_pixels is a whole number, not {max_pixels!r}")
    file, pixels = open_and_decode(source, max_pixels, allow_damaged=allow_damaged)
    for warning in file.warnings:
        warnings.warn(warning, stacklevel=3)  # the caller: this function is wrapped
    return to_rgb(pixels)


@suggest_keywords(MEANT)
def read_profile(source: ImageSource) -> bytes:
    """Read the ICC profile of the pixels that ``read_image`` returns.

    Args:
        source: as for ``read_image``.

    Returns:
        A profile for RGB or gray; empty if the file has none, which means sRGB.

    Raises:
        ImageError: the file cannot be read or is no image. One line that names it.
    """
    return _usable_profile(open_image(source))


def read_photo(source: ImageSource, *, max_pixels: int = MAX_PIXELS, allow_damaged: bool = False) -> Photo:
    """Read a file once: all of its frames, its profile, and what was wrong with it.

    Args:
        source: as for ``read_image``.
        max_pixels: larger images are refused; all frames count together.
        allow_damaged: read what is there of a damaged file.

    Raises:
        ImageError: the file cannot be read, is no image, damaged, or too large. One line that names it.
    """
    file, first = open_and_decode(source, max_pixels, allow_damaged=allow_damaged)
    if count_frames(file) == 1:
        return Photo((to_rgb(first),), (), _usable_profile(file), is_transparent(first), file.warnings)
    frames: list[Image] = []
    seconds, transparent, damaged = [0.0], False, file.warnings
    try:
        for _, pixels, duration in iterate_frames(file, max_pixels):
            frames.append(to_rgb(pixels))
            transparent |= is_transparent(pixels)
            seconds.append(seconds[-1] + max(duration, 1) / 1000)
    except DamagedError as error:
        if not allow_damaged or not frames:
            raise ImageError(f"{error}; {HINT}") from error
        damaged = (*damaged, str(error))
    moving = len(frames) > 1 and file.tiff is None
    times = tuple(seconds[: len(frames)]) if moving else ()
    return Photo(tuple(frames), times, _usable_profile(file), transparent, damaged)


def to_rgb(pixels: Array) -> Image:
    """(H, W, 1..4) -> (H, W, 3); visible colors are continued under transparency."""
    colors = extend_colors(pixels) if pixels.shape[2] in (2, 4) else pixels
    return np.ascontiguousarray(colors[:, :, [0, 0, 0]] if colors.shape[2] == 1 else colors)


def _usable_profile(file: ImageFile) -> bytes:
    icc = metadata.find_profile(file.opened)
    return icc if icc[16:20] in (b"RGB ", b"GRAY") else b""
