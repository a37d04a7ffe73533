"""Picture files in and out. What a file says besides its pixels survives: EXIF, colour profile, alpha, 16 bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from revisage.errors import OutputError
from revisage.files import atomic_write
from revisage.images import formats
from revisage.images.decode import Source, open_picture, pixels_of
from revisage.images.encode import encode, loss_of
from revisage.images.metadata import Metadata, metadata_of, profile_of
from revisage.types import Array, Image

MAX_PIXELS = 500_000_000
"""Pictures of more pixels are refused. The largest film scans have fewer (8 x 10 inches at 2400 dpi: 460 million)."""


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a picture, upright.

    JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF and HEIC (the latter with the extra ``heif``), told by their content, in gray,
    palette, RGB or CMYK (converted by its profile). The values are those of the file, in its own colour space; see
    :func:`read_profile`. Transparency is left out, animations give their first frame.

    Args:
        path: a file.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        (H, W, 3) RGB; uint16 if the file holds more than 8 bits a channel, else uint8.

    Raises:
        ImageError: the file cannot be read, is no picture, damaged, or too large. One line that names it.
    """
    return _rgb(open_picture(Path(path), max_pixels))


def read_profile(path: str | Path) -> bytes:
    """The colour profile that belongs to what ``read_image`` returns.

    Args:
        path: a file.

    Returns:
        An ICC profile for RGB or gray; empty if the file has none, which means sRGB.

    Raises:
        ImageError: the file cannot be read or is no picture. One line that names it.
    """
    return _profile(open_picture(Path(path), MAX_PIXELS))


def read_with_profile(path: str | Path) -> tuple[Image, bytes]:
    """What ``read_image`` and ``read_profile`` return, from one reading of the file; errors likewise."""
    source = open_picture(Path(path), MAX_PIXELS)
    profile = _profile(source)
    return _rgb(source), profile


def write_image(
    path: str | Path,
    image: Image,
    *,
    like: str | Path | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    keep_time: bool = False,
) -> None:
    """Write a picture, whole or not at all, in the format of the extension.

    16 bits are kept in PNG and TIFF, rounded to 10 in HEIC and to 8 elsewhere.

    Args:
        path: jpg, png, tif, webp, avif, heic (with the extra ``heif``) or bmp. Folders are made as needed.
        image: (H, W, 3) RGB uint8, uint16 or float32 in [0, 1].
        like: the file that ``image`` was made from. Its EXIF (set upright, without preview), XMP, IPTC data, comments,
            resolution, colour profile and transparency (scaled to the new size) go along; a gray source gives a gray
            result; its depth is taken for float32 pictures, which are written with 8 bits otherwise. If both files are
            JPEG, quality (within 85..98) and chroma subsampling are taken over; a lossless WebP stays lossless.
        quality: 1..100 for formats that lose something; None for the source's, else 95 (AVIF and HEIC: 90).
        overwrite: whether a file that exists already is replaced.
        keep_time: give the file the times of last change and access of ``like``.

    Raises:
        OutputError: unknown extension, exists already, disk full, no permission, or the format cannot hold the picture:
            too large, or transparent; or a package is missing that writes it.
        ImageError: ``like`` cannot be read.
        ValueError: ``image`` is not a picture, or there is no ``like`` to take the time from.
    """
    path = Path(path)
    chosen = formats.output_format(path)
    if image.ndim != 3 or image.shape[2] != 3 or str(image.dtype) not in ("uint8", "uint16", "float32"):
        raise ValueError(f"a picture is (H, W, 3) uint8, uint16 or float32, not {image.shape} {image.dtype}")
    if keep_time and like is None:
        raise ValueError("keep_time needs like: the file whose time is kept")
    if not overwrite and path.exists():
        raise OutputError(f"cannot write {path}: it exists already")
    if max(image.shape) > chosen.longest:
        raise OutputError(f"cannot write {path}: {chosen.name} holds no sides over {chosen.longest} pixels")
    data = _file_of(path, image, chosen, None if like is None else Path(like), quality)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
        if keep_time and like is not None:
            times = Path(like).stat()
            os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def _rgb(source: Source) -> Image:
    pixels = pixels_of(source)
    rgb = pixels[:, :, [0, 0, 0]] if pixels.shape[2] <= 2 else pixels[:, :, :3]
    return np.ascontiguousarray(rgb)


def _profile(source: Source) -> bytes:
    icc = profile_of(source.opened)
    return icc if icc[16:20] in (b"RGB ", b"GRAY") else b""


def _file_of(path: Path, image: Image, chosen: formats.Format, like: Path | None, quality: int | None) -> bytes:
    """The bytes of the file to be written."""
    source = None if like is None else open_picture(like, MAX_PIXELS)
    pixels, metadata = image, Metadata()
    if source is not None:
        pixels = _with_channels_of(image, stored := pixels_of(source))
        metadata = metadata_of(source.opened, (image.shape[1], image.shape[0]), stored.shape[2] <= 2)
    if pixels.shape[2] in (2, 4) and not chosen.alpha:
        raise OutputError(f"cannot write {path}: {chosen.name} holds no transparency; choose png, tiff or webp")
    depth = np.uint16 if pixels.dtype == np.uint16 and chosen.deep else np.uint8
    return encode(path, _with_depth(pixels, depth), chosen, metadata, loss_of(chosen, source, quality))


def _with_channels_of(image: Image, source: Array) -> Array:
    """Give a restored picture the channels of its source: gray if that was gray, and its transparency.

    Args:
        image: (H, W, 3) of any allowed dtype; float32 becomes that of the source.
        source: (h, w, 1..4) uint8 or uint16.

    Returns:
        (H, W, 1..4) pixels.
    """
    height, width = image.shape[:2]
    if image.dtype == np.float32:
        image = _with_depth(image, source.dtype.type)
    colours: Array = image
    if source.shape[2] <= 2 or _is_gray(source):
        gray: Array = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
        colours = gray if source.shape[2] <= 2 else np.repeat(gray, 3, 2)
    alpha = source[:, :, -1] if source.shape[2] in (2, 4) else None
    if alpha is None or (alpha == np.iinfo(alpha.dtype).max).all():
        return colours
    scaled: Array = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.dstack([colours, _with_depth(scaled, colours.dtype.type)])


def _is_gray(pixels: Array) -> bool:
    """Whether red, green and blue are equal everywhere."""
    return all(np.array_equal(pixels[:, :, 0], pixels[:, :, channel]) for channel in (1, 2))


def _with_depth(pixels: Array, depth: type[Any]) -> Array:
    """Pixels of any allowed dtype -> uint8 or uint16, rounded."""
    if pixels.dtype == depth:
        return pixels
    top = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    scaled = np.clip(pixels * (np.float32(np.iinfo(depth).max) / np.float32(top)), 0, np.iinfo(depth).max)
    return np.rint(scaled).astype(depth)
