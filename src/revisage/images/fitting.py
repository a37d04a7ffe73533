"""Which format holds a result: the one that its source has by content, else one that can; found before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from revisage.images import formats, heif
from revisage.images.alpha import is_transparent
from revisage.images.decode import count_frames, decode, open_image, size_of
from revisage.images.read import Photo


def choose_extension(path: Path, scale: float) -> tuple[str, str]:
    """Choose the extension of a photo's result.

    Returns the extension with its dot: that of the photo if it says what the photo is, else that of its format, or
    ``.png`` where its format cannot hold the result. And why it is not that of the photo, in a few words, or "".
    ImageError: the photo cannot be read.
    """
    file = open_image(path)
    found = formats.by_name(file.opened.format) or formats.PNG
    own = path.suffix.lower()
    if not found.writable and not (found.frames and count_frames(file) > 1):
        return (path.suffix, "") if formats.FORMATS.get(own) is formats.PNG else (".png", "")
    if max(size_of(file)) * scale > found.max_size:
        return ".png", _too_large(found)
    if not found.has_alpha and file.opened.has_transparency_data and is_transparent(decode(file)):
        return ".png", _no_alpha(found)
    if formats.FORMATS.get(own) is found:
        return path.suffix, ""
    article = "an" if found is formats.AVIF else "a"
    return formats.extension_of(found), f"it is {article} {found.name} file" if own in formats.FORMATS else ""


def find_misfit(photo: Photo, extension: str, scale: float) -> str:
    """Say why the format of an extension (with its dot) cannot hold the result of a photo; empty if it can."""
    target = formats.FORMATS[extension.lower()]
    frames = photo.frames if target.frames else photo.frames[:1]
    if missing := _find_missing_encoder(target):
        return missing
    if not target.writable and len(photo.frames) == 1:
        return f"{target.name} holds 256 colors, too few for a photo; choose png"
    if photo.transparent and not target.has_alpha:
        return f"{_no_alpha(target)}; choose png, tif or webp"
    if any(frame.dtype == np.uint16 for frame in frames) and not target.has_uint16:
        return f"{target.name} holds 8 bits a channel, the photo has more; choose png or tif"
    if max(max(frame.shape) for frame in frames) * scale > target.max_size:
        return f"{_too_large(target)}; choose png or tif"
    return ""


def _find_missing_encoder(target: formats.Format) -> str:
    """Say what must be installed to write a format, or ""."""
    if target is formats.HEIF:
        try:
            heif.require_library()
        except ImportError as error:
            return str(error)
    elif target.name not in PIL.Image.SAVE:
        return f"this build of Pillow writes no {target.name}; choose another format"
    return ""


def _no_alpha(target: formats.Format) -> str:
    return f"{target.name} holds no transparency"


def _too_large(target: formats.Format) -> str:
    return f"{target.name} holds at most {target.max_size} pixels a side"
