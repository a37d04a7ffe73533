"""Pixels -> image files like their source: EXIF, color profile, alpha, 16 bit and quality survive."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.PngImagePlugin import PngInfo

from revisage.errors import InputError, OutputError
from revisage.files import atomic_write
from revisage.images import exif, formats, heif, png16, tiff
from revisage.images.alpha import is_transparent, with_alpha
from revisage.images.metadata import IPTC_MARK, Metadata, read_metadata
from revisage.images.pixels import check_array, from_float, to_float
from revisage.images.read import ImageFile, decode, open_image
from revisage.types import Array, Image

JPEG_QUALITIES = 85, 98
"""Limits to the quality taken over from a JPEG source: lower wears the restored face, higher only costs."""
_SEGMENT = 65_533
"""Bytes that a JPEG segment holds."""
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
# fmt: off
_LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
])
# fmt: on
"""Table K.1 of ITU-T T.81, two rows a line: the luminance steps of quality 50."""


@dataclass(frozen=True, slots=True)
class Compression:
    """Settings of lossy formats.

    Attributes:
        quality: 1..100.
        subsampling: of the colors: ``4:4:4``, ``4:2:2`` or ``4:2:0``.
        lossless: nothing is lost, whatever the quality says.
    """

    quality: int
    subsampling: str = "4:4:4"
    lossless: bool = False


def write_image(
    path: str | Path,
    image: Image,
    *,
    like: str | Path | None = None,
    quality: int | None = None,
    overwrite: bool = True,
    preserve_mtime: bool = False,
) -> None:
    """Write an image, whole or not at all, in the format of the extension.

    16 bits are kept in PNG and TIFF, rounded to 10 in HEIC and to 8 elsewhere.

    Args:
        path: jpg, png, tif, webp, avif, heic (with the extra ``heif``) or bmp. Folders are made as needed.
        image: (H, W, 3 or 4) RGB or RGBA uint8, uint16 or float32 in [0, 1].
        like: the file that ``image`` was made from. Its EXIF (set upright, without preview), XMP, IPTC data, comments,
            resolution, color profile and transparency (scaled to the new size) are copied; a gray source gives a gray
            result; its depth is taken for float32 images, which are written with 8 bits otherwise. If both files are
            JPEG, quality (within 85..98) and chroma subsampling are taken over; a lossless WebP stays lossless.
        quality: 1..100 for lossy formats; None for the source's, else 95 (AVIF and HEIC: 90).
        overwrite: whether a file that exists already is replaced.
        preserve_mtime: give the file the times of last change and access of ``like``.

    Raises:
        OutputError: unknown extension, exists already, disk full, no permission, or the format cannot hold the image:
            too large, or transparent; or a package is missing that writes it.
        ImageError: ``like`` cannot be read.
        InputError: ``image`` is not an image, or there is no ``like`` to take the time from.
    """
    path = Path(path)
    target = formats.FORMATS.get(path.suffix.lower())
    if target is None or not target.writable:
        raise OutputError(f"cannot write {path}: not one of the formats {formats.WRITABLE}")
    check_array(image)
    if preserve_mtime and like is None:
        raise InputError("preserve_mtime needs like: the file whose time is kept")
    if not overwrite and path.exists():
        raise OutputError(f"cannot write {path}: it exists already")
    if max(image.shape) > target.max_size:
        raise OutputError(f"cannot write {path}: {target.name} holds at most {target.max_size} pixels a side")
    data = _encode_like(path, image, target, None if like is None else Path(like), quality)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
        if preserve_mtime and like is not None:
            times = Path(like).stat()
            os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def _encode_like(path: Path, image: Image, target: formats.Format, like: Path | None, quality: int | None) -> bytes:
    """Encode an image with the channels, metadata and quality of its source, if there is one."""
    source = None if like is None else open_image(like)
    pixels, metadata = image, Metadata()
    if source is not None:
        pixels = _match_channels(image, stored := decode(source))
        metadata = read_metadata(source.opened, (image.shape[1], image.shape[0]), stored.shape[2] <= 2)
    if pixels.shape[2] in (2, 4) and not target.has_alpha:
        raise OutputError(f"cannot write {path}: {target.name} holds no transparency; choose png, tiff or webp")
    pixels = _convert(pixels, np.uint16 if pixels.dtype == np.uint16 and target.has_uint16 else np.uint8)
    compression = choose_compression(target, source, quality)
    if target is formats.TIFF:
        return tiff.encode(pixels, metadata)
    try:
        if target is formats.HEIF:
            blocks = {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": metadata.icc}
            return heif.encode(pixels, compression.quality, compression.subsampling, **blocks)
        if pixels.dtype == np.uint16:
            one_pixel = np.zeros((1, 1, pixels.shape[2]), np.uint8)
            return png16.encode16(pixels, _encode_by_pillow(one_pixel, target, metadata, compression))
        return _encode_by_pillow(pixels, target, metadata, compression)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def _match_channels(image: Image, source: Array) -> Array:
    """Give a restored image the channels of its source: gray if that was gray, and its transparency.

    Args:
        image: (H, W, 3 or 4) of any allowed dtype; float32 becomes that of the source. Its own transparency prevails.
        source: (h, w, 1..4) uint8 or uint16.

    Returns:
        (H, W, 1..4) pixels.
    """
    if image.dtype == np.float32:
        image = _convert(image, source.dtype.type)
    image, own_alpha = image[:, :, :3], image[:, :, 3:]
    colors: Array = image
    if source.shape[2] <= 2 or all(np.array_equal(source[:, :, 0], source[:, :, i]) for i in (1, 2)):
        gray: Array = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
        colors = gray if source.shape[2] <= 2 else np.repeat(gray, 3, 2)
    if own_alpha.size:
        return np.dstack([colors, own_alpha])
    return with_alpha(colors, source) if is_transparent(source) else colors


def _convert(pixels: Array, dtype: type[Any]) -> Array:
    """Pixels of any allowed dtype -> uint8 or uint16, rounded."""
    return pixels if pixels.dtype == dtype else from_float(to_float(pixels), dtype)


def choose_compression(target: formats.Format, source: ImageFile | None, quality: int | None) -> Compression:
    """Choose how to write, after the source where it is of the same format.

    Args:
        target: format of the result.
        source: the file that the image was made from, if there is one.
        quality: the user's choice, 1..100; None for none.
    """
    default = Compression(target.quality or 100 if quality is None else quality)
    if target is formats.HEIF:
        full = source is not None and source.opened.info.get("chroma") == 444
        return replace(default, subsampling="4:4:4" if full else "4:2:0")  # many programs show nothing else
    if source is None:
        return default
    if target is formats.WEBP and quality is None:
        return replace(default, lossless=_is_lossless_webp(source.data))
    if target is formats.JPEG and (estimated := estimate_quality(source.opened)) is not None:
        taken_over = int(np.clip(estimated, *JPEG_QUALITIES)) if quality is None else quality
        sampling = get_sampling(source.opened)  # 1 and 2 are Pillow's numbers
        return Compression(taken_over, {1: "4:2:2", 2: "4:2:0"}.get(sampling, "4:4:4"))
    return default


def estimate_quality(opened: PIL.Image.Image) -> int | None:
    """Estimate the quality of a JPEG file by its tables; None for other files."""
    tables = opened.quantization if isinstance(opened, JpegImageFile) else {}
    return find_nearest_quality(tables[0]) if len(tables.get(0, ())) == 64 else None


def find_nearest_quality(table: Sequence[int]) -> int:
    """Find the quality 1..100 whose luminance table comes nearest; exact for encoders that use these tables.

    Args:
        table: 64 steps, row by row.
    """
    distances = [np.abs(luminance_table(quality) - np.asarray(table)).sum() for quality in range(1, 101)]
    return int(np.argmin(distances)) + 1


def luminance_table(quality: int) -> Array:
    """(64,) steps, row by row, that the Independent JPEG Group's encoder takes for a quality of 1..100."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((_LUMINANCE * percent + 50) // 100, 1, 255)


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the first image of a WebP file is of the lossless kind (RFC 9649, 2.5 to 2.7)."""
    start = 12
    while data[:4] == b"RIFF" and start + 8 <= len(data):
        kind, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        start += 8 + (16 if kind == b"ANMF" else size + size % 2)  # an animation's frame has its own parts
    return False


def _encode_by_pillow(pixels: Array, target: formats.Format, metadata: Metadata, compression: Compression) -> bytes:
    if target is formats.JPEG:
        metadata = _fit_into_segments(metadata)
    options: dict[str, Any] = {"exif": metadata.exif, "icc_profile": metadata.icc, "xmp": metadata.xmp}
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    if target is formats.PNG:
        options["pnginfo"] = _png_texts(metadata)
    if target is formats.JPEG:
        options |= {"comment": metadata.comment, "extra": b"".join(_extra_segments(metadata))}
    if target.quality is not None:
        options |= {"quality": compression.quality, "subsampling": compression.subsampling}
    if compression.lossless:
        options |= {"lossless": True, "exact": True, "quality": 80}  # here quality is the effort
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, target.name, **options)
    return file.getvalue()


def _fit_into_segments(metadata: Metadata) -> Metadata:
    """Make metadata fit into the segments of a JPEG file; the rest is left out."""
    block, packet = metadata.exif, metadata.xmp
    if len(block) > _SEGMENT:
        block = exif.drop_bulk(block)
    if len(packet) > _SEGMENT - len(_XMP_MARK):
        packet = re.sub(rb"\s+(?=<\?xpacket end)", b"\n", packet)  # room that is kept for editing in place
    comment = metadata.comment or dict(metadata.texts).get("Comment", "").encode()
    return replace(
        metadata,
        exif=block if len(block) <= _SEGMENT else b"",
        xmp=packet if len(packet) <= _SEGMENT - len(_XMP_MARK) else b"",
        comment=comment[:_SEGMENT],
    )


def _extra_segments(metadata: Metadata) -> Iterator[bytes]:
    """Yield the JPEG segments that Pillow does not know: extended XMP, and Photoshop's blocks with IPTC data."""
    contents = [(b"\xff\xe1", content) for content in metadata.xmp_extension]
    step = _SEGMENT - len(IPTC_MARK)
    for start in range(0, len(metadata.iptc), step):
        contents.append((b"\xff\xed", IPTC_MARK + metadata.iptc[start : start + step]))
    for marker, content in contents:
        yield marker + (len(content) + 2).to_bytes(2) + content


def _png_texts(metadata: Metadata) -> PngInfo:
    texts = PngInfo()
    if metadata.xmp:
        texts.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode(errors="replace"))
    for keyword, text in metadata.texts:
        texts.add_text(keyword, text)
    if metadata.comment and "Comment" not in dict(metadata.texts):
        texts.add_text("Comment", metadata.comment.decode(errors="replace"))
    return texts
