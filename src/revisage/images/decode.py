"""Picture files -> upright pixels, with everything that makes a file hard to read told in one line."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms

from revisage.errors import ImageError
from revisage.files import safe_read
from revisage.images import formats, heif, tiff_directory
from revisage.images import png16 as deep_png
from revisage.images import tiff16 as deep_tiff
from revisage.images.metadata import orientation_of
from revisage.types import Array

_GRAY_MODES = frozenset({"1", "L", "LA", "La"})
_UNSUPPORTED_MODES = frozenset({"I", "F", "LAB", "HSV", "I;16", "I;16B", "I;16L"})
# What decoders raise on damaged files, beside OSError.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, OverflowError),
    *(struct.error, zlib.error),
)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A picture file whose header has been read.

    Attributes:
        path: the file, for messages.
        data: its bytes.
        opened: what Pillow says of it. Of a 16-bit TIFF it shows the bytes of the samples; see ``deep_tiff``.
        tiff: the tags of a TIFF file's picture, else None.
        deep: whether it is a 16-bit TIFF.
    """

    path: Path
    data: bytes = field(repr=False)
    opened: PIL.Image.Image
    tiff: tiff_directory.Directory | None = None
    deep: bool = False


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ImageError: it cannot be read, or is empty.
    """
    try:
        if path.is_dir():
            raise ImageError(f"cannot read {path}: it is a folder")
        data = safe_read(path)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise ImageError(f"cannot read {path}: the file is empty")
    return data


def open_picture(path: Path, max_pixels: int) -> Source:
    """Read the header of a picture.

    Raises:
        ImageError: no picture, damaged, or of more pixels than ``max_pixels``.
    """
    data = read_bytes(path)
    name = _format_of(data, path)
    try:
        source = _opened_tiff(path, data) if data[:4] in tiff_directory.MARKS else _opened(path, data, name)
        width, height = deep_tiff.size(source.tiff) if source.tiff else source.opened.size
    except heif.HeifMissingError as error:
        raise ImageError(f"cannot read {path}: {error}") from error
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"cannot read {path}: more pixels than the decoder of {name} takes") from error
    except _DAMAGE as error:
        raise ImageError(f"cannot read {path}: the {name} file is truncated or damaged") from error
    if width * height > max_pixels:
        raise ImageError(
            f"cannot read {path}: {width} x {height} pixels are more than the limit of {max_pixels / 1e6:g} million"
        )
    return source


def pixels_of(source: Source) -> Array:
    """Upright pixels (H, W, 1..4), uint8 or uint16: gray, gray and alpha, RGB, or RGBA.

    Raises:
        ImageError: damaged, or of a kind that cannot be restored.
    """
    path, opened = source.path, source.opened
    try:
        orientation = deep_tiff.orientation(source.tiff) if source.tiff else orientation_of(opened)
        if not source.deep:
            opened.load()  # finds damage in 16-bit PNG files too, of which OpenCV would return a part
        pixels = _pixels(source)
    except MemoryError as error:
        raise ImageError(f"cannot read {path}: not enough memory for {opened.size} pixels") from error
    except (*_DAMAGE, PIL.Image.DecompressionBombError) as error:
        raise ImageError(f"cannot read {path}: the file is truncated or damaged") from error
    if pixels is None:
        raise ImageError(f"cannot read {path}: pixels of the kind {opened.mode} cannot be restored; save it as RGB")
    return _upright(pixels, orientation)


def _format_of(data: bytes, path: Path) -> str:
    """Pillow's name of the format, by the first bytes."""
    PIL.Image.init()
    if heif.is_heif(data):
        return formats.HEIF.name
    for name in dict.fromkeys(entry.name for entry in formats.FORMATS.values()):
        _, accepts = PIL.Image.OPEN.get(name, (None, None))
        if accepts is not None and accepts(data[:16]) is True:
            return name
    raise ImageError(f"cannot read {path}: not a picture in one of the formats {formats.READABLE}")


def _opened(path: Path, data: bytes, name: str) -> Source:
    """By way of the format's own class: Pillow's ``open`` has a limit on pixels that is one for the whole process."""
    if name == formats.HEIF.name:
        return Source(path, data, heif.opened(data))
    factory, _ = PIL.Image.OPEN[name]
    return Source(path, data, factory(io.BytesIO(data), ""))


def _opened_tiff(path: Path, data: bytes) -> Source:
    if tiff_directory.form_of(data) == tiff_directory.Form(">", big=True):
        raise ImageError(f"cannot read {path}: big-endian BigTIFF cannot be read; save it as TIFF")
    directory = tiff_directory.main_directory(data)
    if directory is None:
        raise ImageError(f"cannot read {path}: it holds only a preview, as raw files of cameras do; develop it first")
    deep = deep_tiff.is_supported(directory)
    if not deep and (kind := deep_tiff.unsupported_kind(directory)):
        raise ImageError(f"cannot read {path}: {kind} cannot be restored; save it with 8 or 16 bits as RGB")
    view = deep_tiff.byte_view(directory) if deep else deep_tiff.upright_view(directory)
    return Source(path, data, deep_tiff.TiffPicture(io.BytesIO(view), ""), directory, deep)


def _pixels(source: Source) -> Array | None:
    """As stored; None for a kind of pixels that cannot be restored."""
    opened = source.opened
    if source.tiff and source.deep:
        return deep_tiff.decode(source.tiff)
    if opened.format == "PNG" and source.data[24] == 16:  # the first chunk is always IHDR: width, height, depth
        return deep_png.decode(source.data, opened.info.get("transparency"))
    if opened.format == "HEIF" and heif.is_deep(opened):
        return heif.decode_deep(source.data)
    return None if opened.mode in _UNSUPPORTED_MODES else _eight_bit(opened)


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
