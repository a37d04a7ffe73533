"""Pixels -> the bytes of an image file, in the format and compression of their source."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.PngImagePlugin import PngInfo

from revisage.images import exif, formats, heif, png16, tiff, xmp
from revisage.images.decode import ImageFile
from revisage.images.metadata import IPTC_MARK, Metadata
from revisage.types import Array

JPEG_QUALITIES = 85, 98
"""Limits to the quality taken over from a JPEG source: lower wears the restored face, higher only costs."""
_SEGMENT = 65_533
"""Bytes that a JPEG segment holds."""
_TRANSPARENT = 255
"""Index of the transparent color in a GIF file."""
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


class Frame(NamedTuple):
    """An image to be written: (H, W, 1..4) pixels, metadata, and milliseconds if it is one of an animation."""

    pixels: Array
    metadata: Metadata
    duration: float = 0.0


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


def choose_compression(target: formats.Format, source: ImageFile | None, quality: int | None) -> Compression:
    """Choose how to write: by the user's ``quality``, 1..100, else after ``source`` where it is of the same format."""
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
    """Find the quality 1..100 whose luminance table, 64 steps row by row, comes nearest.

    It is exact for encoders that use these tables.
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


def encode(frames: Sequence[Frame], target: formats.Format, info: Mapping[Any, Any], how: Compression) -> bytes:
    """Encode an image, the frames of an animation or the pages of a TIFF file, as ``target`` holds them.

    An animation is repeated as often as Pillow's ``info`` of its source says. Encoders that cannot write the frames
    raise OSError, ValueError, KeyError, RuntimeError or ImportError.
    """
    pixels, metadata, _ = frames[0]
    if target is formats.TIFF:
        return tiff.encode([(one.pixels, one.metadata) for one in frames])
    if len(frames) > 1:
        return _encode_animation(frames, target, info, how)
    if target is formats.HEIF:
        blocks = {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": metadata.icc}
        return heif.encode(pixels, how.quality, how.subsampling, **blocks)
    if pixels.dtype == np.uint16:
        one_pixel = np.zeros((1, 1, pixels.shape[2]), np.uint8)
        return png16.encode16(pixels, _save([_to_pillow(one_pixel)], target, metadata, how))
    return _save([_to_pillow(pixels)], target, metadata, how)


def _to_pillow(pixels: Array) -> PIL.Image.Image:
    return PIL.Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)


def _encode_animation(
    frames: Sequence[Frame], target: formats.Format, info: Mapping[Any, Any], how: Compression
) -> bytes:
    transparent = any(frame.pixels.shape[2] in (2, 4) for frame in frames)
    images = [_to_pillow(frame.pixels).convert("RGBA" if transparent else "RGB") for frame in frames]
    options: dict[str, Any] = {"save_all": True, "duration": [round(frame.duration) for frame in frames]}
    if target is formats.GIF:
        images = [_reduce_colors(image) for image in images]
        options |= {"loop": info["loop"]} if "loop" in info else {}
        options |= {"disposal": 2, "transparency": _TRANSPARENT} if transparent else {}
    elif target is not formats.AVIF:
        options["loop"] = info.get("loop", 1)
    if target is formats.PNG:
        options["duration"] = [frame.duration for frame in frames]
    return _save(images, target, frames[0].metadata, how, options)


def _reduce_colors(image: PIL.Image.Image) -> PIL.Image.Image:
    """RGB or RGBA -> 255 colors that suit the frame, dithered, and a transparent one."""
    colors = image.convert("RGB")
    palette = colors.quantize(_TRANSPARENT)
    reduced = colors.quantize(palette=palette, dither=PIL.Image.Dither.FLOYDSTEINBERG)
    if image.mode == "RGB":
        return reduced
    indices = np.where(np.asarray(image)[:, :, 3] < 128, _TRANSPARENT, np.asarray(reduced)).astype(np.uint8)
    result = PIL.Image.fromarray(indices).convert("L")
    result.putpalette((reduced.getpalette() or []) + [0] * (768 - len(reduced.getpalette() or [])))
    return result


def _save(
    images: Sequence[PIL.Image.Image],
    target: formats.Format,
    metadata: Metadata,
    how: Compression,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    metadata = fit(metadata, target)
    options: dict[str, Any] = {"exif": metadata.exif, "icc_profile": metadata.icc, "xmp": metadata.xmp}
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    if target is formats.PNG:
        options["pnginfo"] = _png_texts(metadata)
    if target is formats.JPEG:
        options["extra"] = b"".join(_extra_segments(metadata))
    if target in (formats.JPEG, formats.GIF):
        options["comment"] = metadata.comment
    if target.quality is not None:
        options |= {"quality": how.quality, "subsampling": how.subsampling}
    if how.lossless:
        options |= {"lossless": True, "exact": True, "quality": 80}  # here quality is the effort
    options |= more or {}
    if len(images) > 1:
        options["append_images"] = images[1:]
    file = io.BytesIO()
    images[0].save(file, target.name, **options)
    return file.getvalue()


def fit(metadata: Metadata, target: formats.Format) -> Metadata:
    """Leave out the metadata that a format has no room for."""
    if target is formats.JPEG:
        metadata = _fit_into_segments(metadata)
    lacking = {name: getattr(Metadata(), name) for name in formats.METADATA if name not in target.metadata}
    if "texts" in target.metadata:
        lacking.pop("comment", None)
    return replace(metadata, **lacking)


def _fit_into_segments(metadata: Metadata) -> Metadata:
    """Make metadata fit into the segments of a JPEG file; the rest is left out."""
    block, packet = metadata.exif, metadata.xmp
    if len(block) > _SEGMENT:
        block = exif.drop_bulk(block)
    if len(packet) > _SEGMENT - len(_XMP_MARK):
        packet = xmp.drop_padding(packet)
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
