"""Pixels -> the bytes of a picture file, written as well as its source was."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from revisage.errors import OutputError
from revisage.images import exif, formats, heif, jpeg_tables, tiff
from revisage.images import iptc as photoshop
from revisage.images import png16 as deep_png
from revisage.images.decode import Source
from revisage.images.metadata import Metadata
from revisage.types import Array

JPEG_QUALITIES = 85, 98
"""Limits to the quality that is taken over from a JPEG source: what would wear the restored face, what only costs."""
_SEGMENT = 65_533
"""Bytes that a JPEG segment holds."""
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a format that loses something may lose.

    Attributes:
        quality: 1..100.
        subsampling: of the colours: ``4:4:4``, ``4:2:2`` or ``4:2:0``.
        lossless: nothing is lost, whatever the quality says.
    """

    quality: int
    subsampling: str = "4:4:4"
    lossless: bool = False


def loss_of(chosen: formats.Format, source: Source | None, quality: int | None) -> Loss:
    """How to write, after the source where it is of the same format.

    Args:
        chosen: format of the result.
        source: the file that the picture was made from, if there is one.
        quality: what the user asked for; it wins.
    """
    default = Loss(chosen.quality or 100 if quality is None else quality)
    if chosen is formats.HEIF:
        full = source is not None and source.opened.info.get("chroma") == 444
        return replace(default, subsampling="4:4:4" if full else "4:2:0")  # many programs show nothing else
    if source is None:
        return default
    if chosen is formats.WEBP and quality is None:
        return replace(default, lossless=_is_lossless_webp(source.data))
    if chosen is formats.JPEG and (estimated := jpeg_tables.quality_of(source.opened)) is not None:
        taken_over = int(np.clip(estimated, *JPEG_QUALITIES)) if quality is None else quality
        return Loss(taken_over, jpeg_tables.subsampling_of(source.opened))
    return default


def encode(path: Path, pixels: Array, chosen: formats.Format, metadata: Metadata, loss: Loss) -> bytes:
    """(H, W, 1..4) uint8 or uint16 -> the bytes of a file.

    Raises:
        OutputError: the format cannot hold the picture, or its package is missing; names ``path``.
    """
    if chosen is formats.TIFF:
        return tiff.encode(pixels, metadata)
    try:
        if chosen is formats.HEIF:
            fitting = {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": metadata.icc}
            return heif.encode(pixels, loss.quality, loss.subsampling, **fitting)
        if pixels.dtype == np.uint16:
            carrier = _encode_by_pillow(np.zeros((1, 1, pixels.shape[2]), np.uint8), chosen, metadata, loss)
            return deep_png.encode(pixels, carrier)
        return _encode_by_pillow(pixels, chosen, metadata, loss)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def _encode_by_pillow(pixels: Array, chosen: formats.Format, metadata: Metadata, loss: Loss) -> bytes:
    if chosen is formats.JPEG:
        metadata = _for_jpeg(metadata)
    options: dict[str, Any] = {"exif": metadata.exif, "icc_profile": metadata.icc, "xmp": metadata.xmp}
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    if chosen is formats.PNG:
        options["pnginfo"] = _png_texts(metadata)
    if chosen is formats.JPEG:
        options |= {"comment": metadata.comment, "extra": b"".join(_own_segments(metadata))}
    if chosen.quality is not None:
        options |= {"quality": loss.quality, "subsampling": loss.subsampling}
    if loss.lossless:
        options |= {"lossless": True, "exact": True, "quality": 80}  # here quality is the effort
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, chosen.name, **options)
    return file.getvalue()


def _for_jpeg(metadata: Metadata) -> Metadata:
    """Metadata that fits into the segments of a JPEG file; what does not fit otherwise is left out."""
    block, packet = metadata.exif, metadata.xmp
    if len(block) > _SEGMENT:
        block = exif.without_bulk(block)
    if len(packet) > _SEGMENT - len(_XMP_MARK):
        packet = re.sub(rb"\s+(?=<\?xpacket end)", b"\n", packet)  # room that is kept for editing in place
    comment = metadata.comment or dict(metadata.texts).get("Comment", "").encode()
    return replace(
        metadata,
        exif=block if len(block) <= _SEGMENT else b"",
        xmp=packet if len(packet) <= _SEGMENT - len(_XMP_MARK) else b"",
        comment=comment[:_SEGMENT],
    )


def _own_segments(metadata: Metadata) -> Iterator[bytes]:
    """JPEG segments of which Pillow knows nothing: what XMP has over a segment, and Photoshop's blocks."""
    contents = [(b"\xff\xe1", content) for content in metadata.xmp_extension]
    step = _SEGMENT - len(photoshop.MARK)
    for start in range(0, len(metadata.photoshop), step):
        contents.append((b"\xff\xed", photoshop.MARK + metadata.photoshop[start : start + step]))
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


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the first picture of a WebP file is of the lossless kind (RFC 9649, 2.5 to 2.7)."""
    start = 12
    while data[:4] == b"RIFF" and start + 8 <= len(data):
        kind, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        start += 8 + (16 if kind == b"ANMF" else size + size % 2)  # an animation's frame has its own parts
    return False
