"""HEIC and HEIF images, by way of the optional package ``pillow-heif``."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image

from revisage.types import Array

_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def is_heif(data: bytes) -> bool:
    """Whether a file is HEIF and not AVIF, by the brands that it states (ISO 14496-12, 4.3)."""
    if data[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(data[:4]), len(data))
    brands = {data[8:12], *(data[start : start + 4] for start in range(16, length, 4))}
    return bool(brands & _BRANDS) and not brands & _AVIF_BRANDS


def open_heif(data: bytes) -> PIL.Image.Image:
    """Read header and metadata of a HEIF file; its pixels come upright.

    ImportError: the package is not there. SyntaxError, OSError: the file is damaged.
    """
    return require_library().HeifImageFile(io.BytesIO(data), "")


def decode16(data: bytes) -> Array:
    """Decode a file of 10 or 12 bits a channel -> (H, W, 1..4) uint16: gray, gray and alpha, RGB or RGBA.

    ImportError: the package is not there. OSError, ValueError, RuntimeError: the file is damaged.
    """
    pixels = np.asarray(require_library().open_heif(io.BytesIO(data), convert_hdr_to_8bit=False))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def encode(pixels: Array, quality: int, subsampling: str, **metadata: Any) -> bytes:
    """(H, W, 1..4) uint8 or uint16 -> HEIC bytes; 16 bits are rounded to 10, the most that cameras write.

    Args:
        pixels: gray, gray and alpha, RGB or RGBA.
        quality: 1..100.
        subsampling: of the colors, ``4:4:4``, ``4:2:2`` or ``4:2:0``.
        **metadata: ``exif``, ``xmp``, ``icc_profile``: bytes, as Pillow's ``save`` takes them.

    Raises:
        ImportError: the package is not there.
        OSError, ValueError, RuntimeError: it cannot write such an image, or has no encoder.
    """
    height, width, channels = pixels.shape
    file = io.BytesIO()
    require_library().encode(
        _MODES[channels] + (";16" if pixels.dtype == np.uint16 else ""),
        (width, height),
        np.ascontiguousarray(pixels).tobytes(),
        file,
        quality=quality,
        chroma=int(subsampling.replace(":", "")),
        **{name: content for name, content in metadata.items() if content},
    )
    return file.getvalue()


def require_library() -> ModuleType:
    """The package that reads and writes HEIC (ImportError: it is not installed)."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ImportError("HEIC images need one more package: pip install 'revisage[heif]'") from error
    return pillow_heif
