"""Parts of a photo file that a result lacks: gain maps, depth, videos, layers, pages.

It belongs to the old pixels, or is written by nobody but the camera. It is named, so that nothing is lost silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from revisage.images import formats, tiff
from revisage.images.damaged_png import png_chunks
from revisage.images.decode import ImageFile, count_frames, tiff_pages
from revisage.images.jpeg import Segments, read_segments

GAIN_MAP = "the gain map (HDR)"
_GAIN_MAPS = (
    b"http://ns.adobe.com/hdr-gain-map/1.0/",
    b"http://ns.apple.com/HDRGainMap/1.0/",
    b"urn:iso:std:iso:ts:21496:-1",
    b"urn:com:apple:photos:2020:aux:hdrgainmap",
)
_AUXILIARY = {
    b"urn:mpeg:hevc:2015:auxid:2": "the depth map",
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth": "the depth map",
    b":aux:disparity": "the depth map",
    b":aux:portraiteffectsmatte": "the portrait matte",
    b":aux:semantic": "the mattes of skin, hair or teeth",
}
_TONE_MAP = re.compile(rb"infe.{8,10}tmap", re.DOTALL)
_SEMANTIC = re.compile(rb"Item:Semantic(?:\s*=\s*[\"']|>)(\w+)")
_SEMANTICS = {
    b"GainMap": GAIN_MAP,
    b"MotionPhoto": "the video of the motion photo",
    b"Depth": "the depth map",
    b"Original": "the photo as it was before its blur",
}
_VIDEO = re.compile(rb"....ftyp(?:mp4|isom|qt  |mp42|avc1|3gp)", re.DOTALL)
_CREDENTIALS = b"jumdc2pa"
_KNOWN = {
    0xE0: (b"JFIF", b"JFXX"),
    0xE1: (b"Exif\0", b"http://ns.adobe.com/"),
    0xE2: (b"ICC_PROFILE\0", b"MPF\0", b"urn:iso"),
    0xEB: (b"JP",),
    0xEC: (b"Ducky", b"Picture"),
    0xED: (b"Photoshop 3.0\0", b"Adobe_"),
    0xEE: (b"Adobe",),
}
"""Segments that are copied, or say nothing of their own: marker -> how their contents begin."""
_MIN_TRAILER = 64
_LAYERS = 37724
_MP_ENTRIES = 0xB002


def find_extras(file: ImageFile) -> tuple[str, ...]:
    """Name what a file holds besides its image, in a few words each; for further frames see :func:`name_frames`."""
    found: dict[str, None] = {}
    if file.opened.format in ("JPEG", "MPO"):
        found |= dict.fromkeys(_of_jpeg(file))
    elif file.opened.format in ("HEIF", "AVIF"):
        found |= dict.fromkeys(_of_boxes(file))
    elif file.opened.format == "PNG":
        kinds = {chunk.kind for chunk in png_chunks(file.data)}
        found |= {GAIN_MAP: None} if kinds & {b"gMAP", b"gDAT"} else {}
        found |= {"the color description (cICP)": None} if b"cICP" in kinds else {}
        if getattr(file.opened, "default_image", False):
            found["the still image for programs without animations"] = None
        if file.data[24] == 16 and count_frames(file) > 1:
            found["8 of 16 bits a channel"] = None
    elif file.tiff:
        found |= dict.fromkeys(_of_tiff(file))
    if file.opened.mode == "CMYK":
        found["the inks (CMYK became RGB)"] = None
    if _CREDENTIALS in file.data:
        found["the content credentials (C2PA)"] = None
    return tuple(found)


def _of_jpeg(file: ImageFile) -> Iterator[str]:
    segments = read_segments(file.data)
    behind = file.data[segments.end :]
    named = list(_of_trailer(file, segments, behind))
    yield from named
    if not named and len(behind.strip(b"\0\xff")) > _MIN_TRAILER:
        yield f"{len(behind)} bytes behind the image"
    for marker, content in segments.found:
        if 0xE0 <= marker <= 0xEF and not content.startswith(_KNOWN.get(marker, ())):
            name = re.match(rb"[A-Za-z0-9 _./:-]{3,40}", content)
            yield f"data of the camera ({name[0].decode() if name else f'APP{marker - 0xE0}'})"


def _of_trailer(file: ImageFile, segments: Segments, behind: bytes) -> Iterator[str]:
    """Name what lies behind the first image of a JPEG file."""
    if len(behind) <= _MIN_TRAILER:
        return
    head = b"".join(content for marker, content in segments.found if marker in (0xE1, 0xE2))
    semantics = [_SEMANTICS.get(kind, f"an image ({kind.decode()})") for kind in _SEMANTIC.findall(head)]
    items = [kind for kind in semantics if kind != "an image (Primary)"]
    has_gain_map = any(mark in behind or (mark in head and not items) for mark in _GAIN_MAPS)
    items += [GAIN_MAP] if has_gain_map and GAIN_MAP not in items else []
    has_video = _VIDEO.search(behind) is not None
    items += [_SEMANTICS[b"MotionPhoto"]] if has_video and _SEMANTICS[b"MotionPhoto"] not in items else []
    yield from items
    further = _further_images(file) - sum("video" not in one for one in items)
    if further > 0:
        yield f"{further} further image{'s' if further > 1 else ''}"


def _further_images(file: ImageFile) -> int:
    """Count the images behind the first one that are no previews of it (CIPA DC-007)."""
    info: Any = getattr(file.opened, "mpinfo", {})
    kinds = [str(entry["Attribute"]["MPType"]) for entry in info.get(_MP_ENTRIES, [])]
    return sum("Thumbnail" not in kind for kind in kinds[1:])


def _of_boxes(file: ImageFile) -> Iterator[str]:
    if any(mark in file.data for mark in _GAIN_MAPS) or _TONE_MAP.search(file.data):
        yield GAIN_MAP
    for mark, name in _AUXILIARY.items():
        if mark in file.data:
            yield name
    further = getattr(file.opened, "n_frames", 1) - 1
    if further > 0 and file.opened.format == "HEIF":
        yield f"{further} further image{'s' if further > 1 else ''}"
    if file.opened.format == "AVIF" and (start := file.data.find(b"av1C")) >= 0:
        flags = int.from_bytes(file.data[start + 6 : start + 7])  # AV1-ISOBMFF, 2.3.3
        if flags & 0x40:
            yield "4 of 12 bits a channel" if flags & 0x20 else "2 of 10 bits a channel"


def _of_tiff(file: ImageFile) -> Iterator[str]:
    assert file.tiff is not None
    if _LAYERS in file.tiff.entries:
        yield "the layers of Photoshop"
    for page in tiff_pages(file.data)[0]:
        if not tiff.can_decode16(page) and (kind := tiff.find_unsupported_kind(page)):
            yield f"a page of {kind}"


def name_frames(file: ImageFile, written: int) -> tuple[str, ...]:
    """Name the frames or pages of a file that are not written."""
    further = count_frames(file) - written
    noun = "page" if file.opened.format == formats.TIFF.name else "frame"
    return (f"{further} further {noun}{'s' if further > 1 else ''}",) if further > 0 else ()
