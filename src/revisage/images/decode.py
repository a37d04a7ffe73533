"""Bytes -> pixels: image files opened by their content, and decoded upright; damaged ones as far as they are there."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import PIL.Image

from revisage.errors import ImageError
from revisage.images import damaged_png, exif, formats, heif, metadata, png16, repair, tiff, tiff_directory
from revisage.images.modes import decode_mode, orient
from revisage.images.sources import ImageSource, read_source
from revisage.types import Array

HINT = "use --allow-damaged (Python: allow_damaged=True) to restore what is there"
MAX_PIXELS = 500_000_000
"""Images of more pixels are refused. The largest film scans have fewer (8 x 10 inches at 2400 dpi: 460 million)."""
# Errors of decoders on damaged files, besides OSError.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, OverflowError),
    *(struct.error, zlib.error),
)

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """An image file whose header has been read.

    Attributes:
        name: of the file, for messages.
        data: its bytes, repaired if they had to be.
        opened: Pillow's view of it; of a 16-bit TIFF it shows the bytes of the samples, see ``tiff.decode16``.
        tiff: the tags of a TIFF file's image, else None.
        is_tiff16: whether it is a 16-bit TIFF.
        warnings: what was wrong with it, though it could be read.
    """

    name: str
    data: bytes = field(repr=False)
    opened: PIL.Image.Image
    tiff: tiff_directory.Directory | None = None
    is_tiff16: bool = False
    warnings: tuple[str, ...] = ()


def open_image(source: ImageSource, max_pixels: int | None = None, *, allow_damaged: bool = True) -> ImageFile:
    """Read a file and the header of its image (ImageError: no image, damaged, or more pixels than are allowed)."""
    return _read(source, max_pixels, allow_damaged, lambda _: None)[0]


def open_and_decode(
    source: ImageSource, max_pixels: int | None = None, *, allow_damaged: bool = False, again: bool = False
) -> tuple[ImageFile, Array]:
    """Read a file, and decode its pixels, see :func:`decode`; other arguments and errors are those of ``read_image``.

    ``again``: it has been read before; whether decoders took it for whole, though pixels are missing, is not asked.
    """
    return _read(source, max_pixels, allow_damaged or again, decode, check=None if again else repair.lacks_pixels)


def _read(
    source: ImageSource,
    max_pixels: int | None,
    allow_damaged: bool,
    step: Callable[[ImageFile], Step],
    check: Callable[[bytes, PIL.Image.Image], bool] | None = None,
) -> tuple[ImageFile, Step]:
    """Open a file and take a step with it; both once more with the repaired file if it is damaged."""
    data, name = read_source(source)
    kind = _detect_format(data, name)
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        file = _open_bytes(data, kind, name, limit)
        done = step(file)
        if check and check(data, file.opened):
            raise DamagedError(f"cannot read {name}: the {kind} file is truncated or damaged")
        return file, done
    except DamagedError as error:
        repaired = repair.repair(kind, data, allow_damaged=allow_damaged)
        if repaired is None:
            raise
        if repaired.lost and not allow_damaged:
            raise ImageError(f"{error} ({repaired.warning}); {HINT}") from error
        file = _open_bytes(repaired.data, kind, name, limit)
        return replace(file, warnings=(f"{name}: {repaired.warning}",)), step(file)


class DamagedError(ImageError):
    """A decoder says that a file is damaged."""


def _open_bytes(data: bytes, kind: str, name: str, max_pixels: int) -> ImageFile:
    try:
        file = _open_tiff(name, data) if data[:4] in tiff_directory.MARKS else ImageFile(name, data, _open(data, kind))
        _check_size(file, max_pixels)
    except ImportError as error:
        raise ImageError(f"cannot read {name}: {error}") from error
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"cannot read {name}: more pixels than the decoder of {kind} takes") from error
    except _DAMAGE as error:
        raise DamagedError(f"cannot read {name}: the {kind} file is truncated or damaged") from error
    if kind == "PNG" and not damaged_png.is_sound(data):  # Pillow does not look at the checksums of pixels
        raise DamagedError(f"cannot read {name}: the {kind} file is truncated or damaged")
    fault = repair.find_missing_end(kind, data)
    return replace(file, warnings=(f"{name}: {fault}",)) if fault else file


def size_of(file: ImageFile) -> tuple[int, int]:
    """Width and height as they are stored, in pixels."""
    return tiff.read_size(file.tiff) if file.tiff else file.opened.size


def _check_size(file: ImageFile, max_pixels: int, frames: int = 1) -> None:
    width, height = size_of(file)
    if width * height * frames > max_pixels:
        what = f"{frames} frames of " if frames > 1 else ""
        limit = f"{max_pixels / 1e6:g} million"
        raise ImageError(f"cannot read {file.name}: {what}{width} x {height} pixels are more than the limit of {limit}")


def _check_frames(file: ImageFile, max_pixels: int) -> None:
    if not file.tiff:
        _check_size(file, max_pixels, count_frames(file))
    elif (pixels := count_pixels(file)) > max_pixels:
        told = f"{count_frames(file)} pages of {pixels / 1e6:g} million pixels together"
        raise ImageError(f"cannot read {file.name}: {told} are more than the limit of {max_pixels / 1e6:g} million")


def decode(file: ImageFile) -> Array:
    """Decode upright pixels (H, W, 1..4), uint8 or uint16: gray, gray and alpha, RGB, or RGBA.

    ImageError: damaged, or of a kind that cannot be restored.
    """
    name, opened = file.name, file.opened
    try:
        orientation = tiff.read_orientation(file.tiff) if file.tiff else metadata.read_orientation(opened)
        if not file.is_tiff16:
            opened.load()  # finds damage in 16-bit PNG files too, of which OpenCV would return a part
        pixels = _decode_stored(file)
    except MemoryError as error:
        raise ImageError(f"cannot read {name}: not enough memory for {opened.size} pixels") from error
    except (*_DAMAGE, PIL.Image.DecompressionBombError) as error:
        raise DamagedError(f"cannot read {name}: the file is truncated or damaged") from error
    if pixels is None:
        raise ImageError(f"cannot read {name}: pixels of the kind {opened.mode} cannot be restored; save it as RGB")
    return orient(pixels, orientation)


def iterate_frames(file: ImageFile, max_pixels: int = MAX_PIXELS) -> Iterator[tuple[ImageFile, Array, float]]:
    """Yield the frames of an animation or the pages of a TIFF file, the first included.

    Yields:
        the file, opened at that frame or page; its pixels, see :func:`decode`; and milliseconds for which a frame is
        shown (0 for a page).

    Raises:
        ImageError: one is damaged or of a kind that cannot be restored, or all together have too many pixels.
    """
    _check_frames(file, max_pixels)
    if file.tiff:
        for number, directory in enumerate(_usable_pages(file.data)):
            try:
                page = _tiff_page(file.name, file.data, directory)
                pixels = decode(page)
            except DamagedError as error:
                raise DamagedError(
                    f"cannot read page {number + 1} of {file.name}: it is truncated or damaged"
                ) from error
            yield page, pixels, 0
        return
    for number in range(count_frames(file)):
        try:
            file.opened.seek(number + _skips_default(file))
            pixels = decode(file)
        except (DamagedError, *_DAMAGE) as error:
            raise DamagedError(f"cannot read frame {number + 1} of {file.name}: it is truncated or damaged") from error
        yield file, pixels, float(file.opened.info.get("duration") or 0)


def count_frames(file: ImageFile) -> int:
    """Count the frames of an animation, or the pages of a TIFF file; 1 for everything else."""
    if file.tiff:
        return len(_usable_pages(file.data))
    if file.opened.format not in formats.ANIMATED:
        return 1
    try:
        return max(int(getattr(file.opened, "n_frames", 1)) - _skips_default(file), 1)
    except _DAMAGE:  # found while the frames of a GIF file are counted
        return 1


def count_pixels(file: ImageFile) -> int:
    """Count the pixels of all frames, or of all pages of a TIFF file, each of its own size (DamagedError: of none)."""
    if file.tiff is None:
        width, height = size_of(file)
        return width * height * count_frames(file)
    try:
        return sum(width * height for width, height in map(tiff.read_size, _usable_pages(file.data)))
    except _DAMAGE as error:
        raise DamagedError(f"cannot read {file.name}: the tags of one of its pages are damaged") from error


def _skips_default(file: ImageFile) -> int:
    """1 if the first image of a PNG file is for programs that know no animations, and no part of this one."""
    return int(bool(getattr(file.opened, "default_image", False)))


def _detect_format(data: bytes, path: str) -> str:
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


def _open_tiff(name: str, data: bytes) -> ImageFile:
    if data[:4] == b"MM\0+":
        raise ImageError(f"cannot read {name}: big-endian BigTIFF cannot be read; save it as TIFF")
    pages, is_whole = tiff_pages(data)
    if not pages:
        raise ImageError(f"cannot read {name}: it holds only a preview, as raw files of cameras do; develop it first")
    file = _tiff_page(name, data, pages[0])
    return file if is_whole else replace(file, warnings=(f"{name}: it is truncated; pages may be missing",))


def tiff_pages(data: bytes) -> tuple[list[tiff_directory.Directory], bool]:
    """The images of a TIFF file without smaller versions of them, and whether their chain is whole."""
    pages: list[tiff_directory.Directory] = []
    try:
        for found in tiff_directory.iterate_directories(data):
            if not found.is_preview:
                pages.append(found)
    except (ValueError, struct.error):
        if not pages:
            raise
        return pages, False
    return pages, True


def _usable_pages(data: bytes) -> list[tiff_directory.Directory]:
    return [page for page in tiff_pages(data)[0] if tiff.can_decode16(page) or not tiff.find_unsupported_kind(page)]


def _tiff_page(name: str, data: bytes, directory: tiff_directory.Directory) -> ImageFile:
    is_tiff16 = tiff.can_decode16(directory)
    if not is_tiff16 and (kind := tiff.find_unsupported_kind(directory)):
        raise ImageError(f"cannot read {name}: {kind} cannot be restored; save it with 8 or 16 bits as RGB")
    if is_tiff16:
        view = tiff.make_byte_view(directory)
    else:
        view = tiff_directory.prepend_directory(directory, {exif.ORIENTATION: (1,)})  # Pillow would turn it by itself
    return ImageFile(name, data, tiff.UnlimitedTiff(io.BytesIO(view), ""), directory, is_tiff16)


def _decode_stored(file: ImageFile) -> Array | None:
    """Decode the pixels as stored, not yet upright; None for a kind that cannot be restored."""
    opened = file.opened
    if file.tiff and file.is_tiff16:
        return tiff.decode16(file.tiff)
    moving = getattr(opened, "is_animated", False)
    if (
        opened.format == "PNG" and file.data[24] == 16 and not moving
    ):  # the first chunk is always IHDR: width, height, depth
        pixels = png16.decode16(file.data, opened.info.get("transparency"))
        if pixels is None:
            raise OSError("OpenCV cannot read it")
        return pixels
    if opened.format == "HEIF" and opened.info.get("bit_depth", 8) > 8:
        return heif.decode16(file.data)
    return decode_mode(opened)
