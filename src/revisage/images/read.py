"""Image files -> upright pixels, with everything that makes a file hard to read told in one line."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from revisage.errors import ImageError
from revisage.files import safe_read
from revisage.images import exif, formats, heif, metadata, png16, tiff, tiff_directory
from revisage.images.alpha import extend_colors
from revisage.images.modes import decode_mode, orient
from revisage.types import Array, Image

MAX_PIXELS = 500_000_000
"""Images of more pixels are refused. The largest film scans have fewer (8 x 10 inches at 2400 dpi: 460 million)."""
# What decoders raise on damaged files, besides OSError.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, OverflowError),
    *(struct.error, zlib.error),
)


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """An image file whose header has been read.

    Attributes:
        path: the file, for messages.
        data: its bytes.
        opened: Pillow's view of it; of a 16-bit TIFF it shows the bytes of the samples, see ``tiff.decode16``.
        tiff: the tags of a TIFF file's image, else None.
        is_tiff16: whether it is a 16-bit TIFF.
    """

    path: Path
    data: bytes = field(repr=False)
    opened: PIL.Image.Image
    tiff: tiff_directory.Directory | None = None
    is_tiff16: bool = False


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read an image, upright.

    JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF and HEIC (the latter with the extra ``heif``), told by their content, in gray,
    palette, RGB or CMYK (converted by its profile). The values are those of the file, in its own color space; see
    :func:`read_profile`. Transparency is left out (the visible colors are continued under it), animations give their
    first frame.

    Args:
        path: a file.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        (H, W, 3) RGB; uint16 if the file holds more than 8 bits a channel, else uint8.

    Raises:
        ImageError: the file cannot be read, is no image, damaged, or too large. One line that names it.
    """
    return to_rgb(decode(open_image(Path(path), max_pixels)))


def read_profile(path: str | Path) -> bytes:
    """Read the ICC profile of the pixels that ``read_image`` returns.

    Returns:
        A profile for RGB or gray; empty if the file has none, which means sRGB.

    Raises:
        ImageError: the file cannot be read or is no image. One line that names it.
    """
    return _usable_profile(open_image(Path(path)))


def read_with_profile(path: str | Path) -> tuple[Image, bytes]:
    """Read a file once -> the results of ``read_image`` and ``read_profile``.

    Raises:
        ImageError: the file cannot be read, is no image, damaged, or too large. One line that names it.
    """
    file = open_image(Path(path))
    profile = _usable_profile(file)
    return to_rgb(decode(file)), profile


def open_image(path: Path, max_pixels: int | None = None) -> ImageFile:
    """Read a file and the header of its image.

    Raises:
        ImageError: no image, damaged, or of more pixels than ``max_pixels`` (None: ``MAX_PIXELS``).
    """
    data = _read_bytes(path)
    name = _detect_format(data, path)
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        file = _open_tiff(path, data) if data[:4] in tiff_directory.MARKS else ImageFile(path, data, _open(data, name))
        width, height = tiff.read_size(file.tiff) if file.tiff else file.opened.size
    except ImportError as error:
        raise ImageError(f"cannot read {path}: {error}") from error
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"cannot read {path}: more pixels than the decoder of {name} takes") from error
    except _DAMAGE as error:
        raise ImageError(f"cannot read {path}: the {name} file is truncated or damaged") from error
    if width * height > max_pixels:
        raise ImageError(
            f"cannot read {path}: {width} x {height} pixels are more than the limit of {max_pixels / 1e6:g} million"
        )
    return file


def decode(file: ImageFile) -> Array:
    """Decode upright pixels (H, W, 1..4), uint8 or uint16: gray, gray and alpha, RGB, or RGBA.

    Raises:
        ImageError: damaged, or of a kind that cannot be restored.
    """
    path, opened = file.path, file.opened
    try:
        orientation = tiff.read_orientation(file.tiff) if file.tiff else metadata.read_orientation(opened)
        if not file.is_tiff16:
            opened.load()  # finds damage in 16-bit PNG files too, of which OpenCV would return a part
        pixels = _decode_stored(file)
    except MemoryError as error:
        raise ImageError(f"cannot read {path}: not enough memory for {opened.size} pixels") from error
    except (*_DAMAGE, PIL.Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read {path}: the file is truncated or damaged") from error
    if pixels is None:
        raise ImageError(f"cannot read {path}: pixels of the kind {opened.mode} cannot be restored; save it as RGB")
    return orient(pixels, orientation)


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"cannot read {path}: it is a folder")
        data = safe_read(path)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise ImageError(f"cannot read {path}: the file is empty")
    return data


def _detect_format(data: bytes, path: Path) -> str:
    """Find Pillow's name of the format by the first bytes."""
    PIL.Image.init()
    if heif.is_heif(data):
        return formats.HEIF.name
    for name in dict.fromkeys(entry.name for entry in formats.FORMATS.values()):
        _, accepts = PIL.Image.OPEN.get(name, (None, None))
        if accepts is not None and accepts(data[:16]) is True:
            return name
    raise ImageError(f"cannot read {path}: not an image in one of the formats {formats.READABLE}")


def _open(data: bytes, name: str) -> PIL.Image.Image:
    """Open by the format's own class: Pillow's ``open`` has a limit on pixels that is one for the whole process."""
    if name == formats.HEIF.name:
        return heif.open_heif(data)
    factory, _ = PIL.Image.OPEN[name]
    return factory(io.BytesIO(data), "")


def _open_tiff(path: Path, data: bytes) -> ImageFile:
    if data[:4] == b"MM\0+":
        raise ImageError(f"cannot read {path}: big-endian BigTIFF cannot be read; save it as TIFF")
    directory = next((found for found in tiff_directory.iterate_directories(data) if not found.is_preview), None)
    if directory is None:
        raise ImageError(f"cannot read {path}: it holds only a preview, as raw files of cameras do; develop it first")
    is_tiff16 = tiff.can_decode16(directory)
    if not is_tiff16 and (kind := tiff.find_unsupported_kind(directory)):
        raise ImageError(f"cannot read {path}: {kind} cannot be restored; save it with 8 or 16 bits as RGB")
    if is_tiff16:
        view = tiff.make_byte_view(directory)
    else:
        view = tiff_directory.prepend_directory(directory, {exif.ORIENTATION: (1,)})  # Pillow would turn it by itself
    return ImageFile(path, data, tiff.UnlimitedTiff(io.BytesIO(view), ""), directory, is_tiff16)


def _decode_stored(file: ImageFile) -> Array | None:
    """Decode the pixels as stored, not yet upright; None for a kind that cannot be restored."""
    opened = file.opened
    if file.tiff and file.is_tiff16:
        return tiff.decode16(file.tiff)
    if opened.format == "PNG" and file.data[24] == 16:  # the first chunk is always IHDR: width, height, depth
        return png16.decode16(file.data, opened.info.get("transparency"))
    if opened.format == "HEIF" and opened.info.get("bit_depth", 8) > 8:
        return heif.decode16(file.data)
    return decode_mode(opened)


def to_rgb(pixels: Array) -> Image:
    """(H, W, 1..4) -> (H, W, 3); visible colors are continued under transparency."""
    colors = extend_colors(pixels) if pixels.shape[2] in (2, 4) else pixels
    return np.ascontiguousarray(colors[:, :, [0, 0, 0]] if colors.shape[2] == 1 else colors)


def _usable_profile(file: ImageFile) -> bytes:
    icc = metadata.find_profile(file.opened)
    return icc if icc[16:20] in (b"RGB ", b"GRAY") else b""
