"""Picture files in and out. What a file says besides its pixels survives: EXIF, colour profile, alpha, 16 bit."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
from PIL.PngImagePlugin import PngInfo

from revisage.errors import ImageError, OutputError
from revisage.files import formats, sixteen_bit, tiff
from revisage.files.atomic import replacing
from revisage.files.metadata import Metadata, metadata_of, orientation_of
from revisage.types import Array, Image

MAX_PIXELS = 500_000_000
"""Pictures of more pixels are refused. The largest film scans have fewer (8 x 10 inches at 2400 dpi: 460 million)."""

_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
_UNSUPPORTED_MODES = frozenset({"I", "F", "LAB", "HSV"})
# What decoders raise on damaged files, beside OSError.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error, zlib.error)


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a picture, upright.

    JPEG, PNG, WebP, BMP, TIFF, GIF and AVIF, told by their content, in gray, palette, RGB or CMYK (converted by its
    profile). Transparency is left out, animations give their first frame.

    Args:
        path: a file.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        (H, W, 3) RGB; uint16 if the file holds 16 bits a channel, else uint8.

    Raises:
        ImageError: the file cannot be read, is no picture, damaged, or too large. One line that names it.
    """
    path = Path(path)
    data = _bytes_of(path)
    pixels = _decode(_open(data, path, max_pixels), data, path)
    rgb = pixels[:, :, [0, 0, 0]] if pixels.shape[2] <= 2 else pixels[:, :, :3]
    return np.ascontiguousarray(rgb)


def write_image(
    path: str | Path,
    image: Image,
    *,
    like: str | Path | None = None,
    quality: int | None = None,
    overwrite: bool = True,
) -> None:
    """Write a picture, whole or not at all, in the format of the extension.

    16 bits are kept in PNG and TIFF and rounded to 8 elsewhere. JPEG is written without chroma subsampling.

    Args:
        path: jpg, png, tif, webp, avif or bmp. Folders are made as needed.
        image: (H, W, 3) RGB uint8, uint16 or float32 in [0, 1].
        like: the file that ``image`` was made from. Its EXIF (set upright), XMP, resolution, colour profile and
            transparency (scaled to the new size) go along; a gray source is written in gray; its depth is taken for
            float32 pictures, which are written with 8 bits otherwise.
        quality: 1..100 for formats that lose something; None for 95 (AVIF: 90).
        overwrite: whether a file that exists already is replaced.

    Raises:
        OutputError: unknown extension, exists already, disk full, no permission, or the format cannot hold the picture:
            too large, or transparent.
        ImageError: ``like`` cannot be read.
        ValueError: ``image`` is not a picture.
    """
    path = Path(path)
    chosen = formats.output_format(path)
    if image.ndim != 3 or image.shape[2] != 3 or str(image.dtype) not in ("uint8", "uint16", "float32"):
        raise ValueError(f"a picture is (H, W, 3) uint8, uint16 or float32, not {image.shape} {image.dtype}")
    if not overwrite and path.exists():
        raise OutputError(f"cannot write {path}: it exists already")
    if max(image.shape) > chosen.longest:
        raise OutputError(f"cannot write {path}: {chosen.name} holds no sides over {chosen.longest} pixels")
    pixels, metadata = _as_source(image, Path(like)) if like is not None else (image, Metadata())
    if pixels.shape[2] in (2, 4) and not chosen.alpha:
        raise OutputError(f"cannot write {path}: {chosen.name} holds no transparency; choose png, tiff or webp")
    depth = np.uint16 if pixels.dtype == np.uint16 and chosen.deep else np.uint8
    data = _encode(path, _with_depth(pixels, depth), chosen, metadata, quality)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"cannot read {path}: it is a folder")
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise ImageError(f"cannot read {path}: the file is empty")
    return data


def _open(data: bytes, path: Path, max_pixels: int) -> PIL.Image.Image:
    """Read the header. Pillow's ``open`` is not used: its limit on pixels is one for the whole process."""
    PIL.Image.init()
    for name in dict.fromkeys(entry.name for entry in formats.FORMATS.values()):
        factory, accepts = PIL.Image.OPEN.get(name, (None, None))
        if factory is None or accepts is None or accepts(data[:16]) is not True:
            continue
        try:
            opened = factory(io.BytesIO(data), "")
        except _DAMAGE as error:
            raise ImageError(f"cannot read {path}: the {name} file is truncated or damaged") from error
        width, height = opened.size
        if width * height > max_pixels:
            raise ImageError(
                f"cannot read {path}: {width} x {height} pixels are more than the limit of {max_pixels / 1e6:g} million"
            )
        return opened
    raise ImageError(f"cannot read {path}: not a picture in one of the formats {formats.READABLE}")


def _decode(opened: PIL.Image.Image, data: bytes, path: Path) -> Array:
    """Upright pixels (H, W, 1..4), uint8 or uint16: gray, gray and alpha, RGB, or RGBA."""
    deep = _bits(opened, data) == 16 and opened.mode != "CMYK"
    if not deep and opened.mode in _UNSUPPORTED_MODES:
        raise ImageError(f"cannot read {path}: pixels of the kind {opened.mode} cannot be restored; save it as RGB")
    orientation = orientation_of(opened)
    try:
        opened.load()  # finds damage in 16-bit files too, of which OpenCV would return a part
        pixels = sixteen_bit.decode(data) if deep else _eight_bit(opened)
    except MemoryError as error:
        raise ImageError(f"cannot read {path}: not enough memory for {opened.size} pixels") from error
    except _DAMAGE as error:
        raise ImageError(f"cannot read {path}: the file is truncated or damaged") from error
    if pixels is None:
        raise ImageError(f"cannot read {path}: this kind of 16-bit {opened.format} is not supported; save it as RGB")
    if opened.format == "TIFF":
        orientation = 1  # of all formats, Pillow and OpenCV turn this one by themselves
    return _upright(pixels, orientation)


def _bits(opened: PIL.Image.Image, data: bytes) -> int:
    """Bits a channel as the file states them."""
    if opened.format == "PNG":
        return data[24]  # the first chunk is always IHDR: width, height, depth
    if opened.format == "TIFF":
        return max(opened.tag_v2.get(258, (1,)))  # pyright: ignore[reportAttributeAccessIssue]
    return 8


def _eight_bit(opened: PIL.Image.Image) -> Array:
    if opened.mode == "CMYK":
        opened = _cmyk_to_rgb(opened)
    gray, alpha = opened.mode in _GRAY_MODES, opened.has_transparency_data
    mode = ("LA" if alpha else "L") if gray else ("RGBA" if alpha else "RGB")
    pixels = np.asarray(opened.convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _cmyk_to_rgb(opened: PIL.Image.Image) -> PIL.Image.Image:
    """By the file's own profile; by the plain formula if it has none, or one that cannot be used."""
    profile = opened.info.get("icc_profile")
    try:
        inks = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        screen = PIL.ImageCms.createProfile("sRGB")
        converted = PIL.ImageCms.profileToProfile(opened, inks, screen, outputMode="RGB")
    except (PIL.ImageCms.PyCMSError, OSError):
        converted = None
    return converted or opened.convert("RGB")


def _upright(pixels: Array, orientation: int) -> Array:
    """Undo the EXIF orientation 1..8 (EXIF 2.32, 4.6.4): where the stored first row and first column belong."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _as_source(image: Image, like: Path) -> tuple[Array, Metadata]:
    """Give a restored picture the channels of its source: gray if that was gray, and its transparency.

    Returns:
        (H, W, 1..4) pixels, and the metadata that goes along.
    """
    data = _bytes_of(like)
    opened = _open(data, like, MAX_PIXELS)
    source = _decode(opened, data, like)
    height, width = image.shape[:2]
    if image.dtype == np.float32:
        image = _with_depth(image, source.dtype.type)
    gray = source.shape[2] <= 2
    colours: Array = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None] if gray else image
    metadata = metadata_of(opened, (width, height), gray)
    alpha = source[:, :, -1] if source.shape[2] in (2, 4) else None
    if alpha is None or (alpha == np.iinfo(alpha.dtype).max).all():
        return colours, metadata
    scaled: Array = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.dstack([colours, _with_depth(scaled, colours.dtype.type)]), metadata


def _with_depth(pixels: Array, depth: type[Any]) -> Array:
    """Pixels of any allowed dtype -> uint8 or uint16, rounded."""
    if pixels.dtype == depth:
        return pixels
    top = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    scaled = np.clip(pixels * (np.float32(np.iinfo(depth).max) / np.float32(top)), 0, np.iinfo(depth).max)
    return np.rint(scaled).astype(depth)


def _encode(path: Path, pixels: Array, chosen: formats.Format, metadata: Metadata, quality: int | None) -> bytes:
    """(H, W, 1..4) uint8 or uint16 -> the bytes of a file."""
    if chosen is formats.TIFF:
        return tiff.encode(pixels, metadata)
    if pixels.dtype == np.uint16:
        carrier = _encode(path, np.zeros((1, 1, pixels.shape[2]), np.uint8), chosen, metadata, quality)
        return sixteen_bit.encode_png(pixels, carrier)
    options: dict[str, Any] = {"exif": metadata.exif, "icc_profile": metadata.icc, "xmp": metadata.xmp}
    if chosen is formats.PNG and metadata.xmp:
        options["pnginfo"] = text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode(errors="replace"))
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    if chosen.quality is not None:
        options |= {"quality": chosen.quality if quality is None else quality, "subsampling": "4:4:4"}
    file = io.BytesIO()
    try:
        PIL.Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, chosen.name, **options)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    return file.getvalue()
