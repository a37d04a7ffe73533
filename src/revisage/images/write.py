"""Pixels -> image files like their source: EXIF, color profile, alpha, 16 bit and quality survive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import cv2
import numpy as np
import PIL.Image

from revisage.errors import ImageError, InputError, OutputError, suggest_keywords
from revisage.files import atomic_write
from revisage.images import formats
from revisage.images.alpha import is_transparent, with_alpha
from revisage.images.decode import DamagedError, ImageFile, count_frames, iterate_frames, open_and_decode, size_of
from revisage.images.encode import Frame, choose_compression, encode, fit
from revisage.images.extras import find_extras, name_frames
from revisage.images.metadata import Metadata, find_profile, read_metadata
from revisage.images.modes import from_pillow
from revisage.images.pixels import by_rows, check_array, is_gray
from revisage.images.sources import ImageSource, name_of, path_of
from revisage.types import Array, FloatImage, Image

ImageTarget: TypeAlias = str | Path | BinaryIO
"""A path, or a file object that is open for writing bytes."""


@suggest_keywords({"source": "like", "force": "overwrite", "exif": "like", "icc": "like"})
def write_image(
    target: ImageTarget,
    image: Image | PIL.Image.Image | Sequence[Image | PIL.Image.Image],
    *,
    like: ImageSource | None = None,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    preserve_mtime: bool = False,
    keep_metadata: bool = True,
) -> tuple[str, ...]:
    """Write an image, whole or not at all, in the format of the extension.

    16 bits are kept in PNG and TIFF, rounded to 10 in HEIC and to 8 elsewhere.

    Args:
        target: jpg, png, tif, webp, avif, heic (with the extra ``heif``) or bmp; gif for animations. Folders are made
            as needed. Or a file object.
        image: (H, W, 3 or 4) RGB or RGBA uint8, uint16 or float32 in [0, 1], or a Pillow image; or a list of them, the
            frames of an animation or pages of a TIFF file: one for each of ``like``.
        like: the file that ``image`` was made from: a path, bytes or a file object. Its EXIF (set upright, without
            preview), XMP, IPTC data, comments, resolution, color profile and transparency (scaled to the new size) are
            copied; a gray source gives a gray result; its depth is taken for float32 images, which are written with 8
            bits otherwise. If both files are JPEG, quality (within 85..98) and chroma subsampling are taken over; a
            lossless WebP stays lossless.
        format: an extension without its dot; None for that of the target, of a file object without name that of
            ``like``, else png.
        quality: 1..100 for lossy formats; None for the source's, else 95 (AVIF and HEIC: 90).
        overwrite: whether a file that exists already is replaced.
        preserve_mtime: give the file the times of last change and access of ``like``.
        keep_metadata: False: of the metadata of ``like`` only the color profile is copied.

    Returns:
        For each thing that ``like`` holds and the result does not (frames, a gain map, bits, metadata) a few words;
        empty: nothing was lost.

    Raises:
        OutputError: unknown extension, exists already, disk full, no permission, or the format cannot hold the image:
            too large, or transparent; or a package is missing that writes it.
        ImageError: ``like`` cannot be read.
        InputError: ``image`` is not an image, or there is no ``like`` to take the time from.
    """
    if isinstance(target, np.ndarray):
        raise InputError("the target comes first: write_image(target, image)")
    images = [_check_image(one) for one in (image if isinstance(image, list | tuple) else [image])]
    if not images:
        raise InputError("there is no image to write")
    if quality is not None and not (type(quality) is int and 1 <= quality <= 100):
        raise InputError(f"quality is a whole number from 1 to 100, not {quality!r}")
    if not isinstance(format, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"format is an extension, 'png' say, not {format!r}")
    name, path = name_of(target), path_of(target)
    if preserve_mtime and (path is None or path_of(like) is None):
        raise InputError("preserve_mtime needs the paths of target and like: the file whose time is kept")
    if path is not None and not overwrite and path.exists():
        raise OutputError(f"cannot write {path}: it exists already")
    source = None if like is None else open_and_decode(like, again=True)
    chosen = _choose_format(target, format, None if source is None else source[0], moving=len(images) > 1)
    frames, left_out = _prepare(name, images, chosen, source, keep_metadata)
    how, info = choose_compression(chosen, source and source[0], quality), source[0].opened.info if source else {}
    del source  # encoders need much memory, and do without its pixels
    try:
        data = encode(frames, chosen, info, how)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise OutputError(f"cannot write {name}: {error}") from error
    if path is None:
        _write_to(target, data)
        return left_out
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
        if preserve_mtime and (original := path_of(like)):
            times = original.stat()
            os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))
    return left_out


def _check_image(image: Any) -> Image:
    """An array or a Pillow image as ``check_array`` returns it."""
    if not (hasattr(image, "convert") and hasattr(image, "mode")):
        return np.ascontiguousarray(check_array(image))
    pixels = from_pillow(image)
    channels = {1: [0, 0, 0], 2: [0, 0, 0, 1]}.get(pixels.shape[2])
    return np.ascontiguousarray(pixels[:, :, channels] if channels else pixels)


def _choose_format(
    target: ImageTarget, format: str | None, source: ImageFile | None, *, moving: bool
) -> formats.Format:
    name = name_of(target)
    extension = f".{format.lower().lstrip('.')}" if format else Path(name).suffix.lower()
    found = formats.FORMATS.get(extension)
    if not extension and path_of(target) is None:
        found = formats.by_name(source.opened.format) if source else None
        found = found if found and (found.writable or moving) else formats.PNG
    if found is None or not (found.writable or (moving and found.frames)):
        raise OutputError(f"cannot write {name}: not one of the formats {formats.WRITABLE}")
    return found


def _write_to(target: Any, data: bytes) -> None:
    if not hasattr(target, "write"):
        raise InputError(f"an image is written to a path or a file object, not to {type(target).__name__}")
    try:
        target.write(data)
    except TypeError as error:
        raise InputError(f"{name_of(target)} is open for text; open it with 'wb'") from error
    except OSError as error:
        raise OutputError(f"cannot write {name_of(target)}: {error.strerror or error}") from error


def _prepare(
    name: str,
    images: Sequence[Image],
    target: formats.Format,
    source: tuple[ImageFile, Array] | None,
    keep_metadata: bool,
) -> tuple[list[Frame], tuple[str, ...]]:
    """Give images the channels and metadata of their source, if there is one, and the depth of the format."""
    file = source[0] if source else None
    count = len(images)
    images = images if target.frames else images[:1]
    frames = list(_frames_like(images, source))
    if not keep_metadata:
        frames = [frame._replace(metadata=Metadata(icc=frame.metadata.icc)) for frame in frames]
    for index, frame in enumerate(frames):
        if frame.pixels.shape[2] in (2, 4) and not target.has_alpha:
            if is_transparent(frame.pixels):
                hint = "choose png, tiff or webp"
                raise OutputError(f"cannot write {name}: {target.name} holds no transparency; {hint}")
            frames[index] = frame._replace(pixels=frame.pixels[:, :, :-1])
        if max(frame.pixels.shape) > target.max_size:
            raise OutputError(f"cannot write {name}: {target.name} holds at most {target.max_size} pixels a side")
    losses = _name_losses(file, frames[0], target, count, named=keep_metadata)
    kept = [one._replace(pixels=_convert(one.pixels, _kept_dtype(one.pixels, target, count))) for one in frames]
    return kept, losses


def _frames_like(images: Sequence[Image], source: tuple[ImageFile, Array] | None) -> Sequence[Frame]:
    """Each image with the channels and metadata of its frame or page of the source."""
    if source is None:
        return [Frame(one, Metadata()) for one in images]
    file, first = source
    if count_frames(file) == 1 or len(images) == 1:
        return [_frame_like(one, file, first) for one in images]
    frames: list[Frame] = []
    try:
        for one, (page, pixels, duration) in zip(images, iterate_frames(file), strict=False):
            frames.append(_frame_like(one, page, pixels)._replace(duration=duration))
    except DamagedError:  # as when it was read
        if len(frames) < len(images):
            raise
    if len(frames) < len(images):
        raise ImageError(f"{file.name} has {len(frames)} frames, not {len(images)}")
    return frames


def _frame_like(image: Image, file: ImageFile, stored: Array) -> Frame:
    pixels = _match_channels(image, stored)
    return Frame(pixels, read_metadata(file.opened, (image.shape[1], image.shape[0]), stored.shape[2] <= 2))


def find_left_out(source: ImageSource, extension: str) -> tuple[str, ...]:
    """Name what the result of a photo will lack: what ``write_image`` returns, known beforehand.

    ImageError: the photo cannot be read.
    """
    file, pixels = open_and_decode(source, again=True)
    frame = Frame(pixels, read_metadata(file.opened, size_of(file), pixels.shape[2] <= 2))
    return _name_losses(file, frame, formats.FORMATS[extension.lower()], count_frames(file))


def _name_losses(
    file: ImageFile | None, first: Frame, target: formats.Format, count: int, *, named: bool = True
) -> tuple[str, ...]:
    """Name what a result lacks that is made of ``count`` frames of a file; metadata only where ``named``."""
    losses: list[str] = []
    if count > 1 and not target.frames:
        losses.append(f"{count - 1} further frame{'s' if count > 2 else ''} ({target.name} holds one)")
    elif file is not None:
        losses += name_frames(file, count)
    if file is not None:
        losses += [*find_extras(file), *(_name_metadata(file, first.metadata, target) if named else ())]
    if first.pixels.dtype == np.uint16:
        depth = file.opened.info.get("bit_depth", 16) if file is not None else 16
        kept = 8 if _kept_dtype(first.pixels, target, count) == np.uint8 else 10 if target is formats.HEIF else 16
        losses += [f"{depth - kept} of {depth} bits a channel"] if depth > kept else []
    return tuple(dict.fromkeys(losses))


def _kept_dtype(pixels: Array, target: formats.Format, count: int) -> type[np.uint8 | np.uint16]:
    """The pixel formats that a file format keeps; no animation has more than 8 bits."""
    deep = pixels.dtype == np.uint16 and target.has_uint16 and (count == 1 or target is formats.TIFF)
    return np.uint16 if deep else np.uint8


def _name_metadata(file: ImageFile, metadata: Metadata, target: formats.Format) -> list[str]:
    """Name the metadata of a file that are malformed, or that a format has no room for."""
    fitting = fit(metadata, target)
    lost = [words for name, words in formats.METADATA.items() if getattr(metadata, name) and not getattr(fitting, name)]
    if len(fitting.exif) < len(metadata.exif) and fitting.exif:
        lost.append("the longest values of EXIF")
    if file.opened.info.get("exif") and not metadata.exif:
        lost.append("EXIF (malformed)")
    if find_profile(file.opened) and not metadata.icc and file.opened.mode != "CMYK":
        lost.append("the color profile (it does not fit the pixels)")
    return lost


def _match_channels(image: Image, source: Array) -> Array:
    """Give a restored image (H, W, 3 or 4) the channels of its source: gray if that was gray, and its transparency.

    A float32 image takes the dtype of the source, uint8 or uint16. Its own transparency prevails.
    """
    if image.dtype == np.float32:
        image = _convert(image, source.dtype.type)
    image, own_alpha = image[:, :, :3], image[:, :, 3:]
    colors: Array = image
    if source.shape[2] <= 2 or is_gray(source):
        gray: Array = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
        colors = gray if source.shape[2] <= 2 else np.repeat(gray, 3, 2)
    if own_alpha.size:
        return np.dstack([colors, own_alpha])
    return with_alpha(colors, source) if is_transparent(source) else colors


def _convert(pixels: Array, dtype: type[Any]) -> Array:
    """Pixels of any allowed dtype -> uint8 or uint16, rounded."""
    return pixels if pixels.dtype == dtype else by_rows(_unchanged, pixels, result=np.empty_like(pixels, dtype))


def _unchanged(rows: FloatImage) -> FloatImage:
    return rows
