"""TIFF files of 16 bits a channel in, in every layout that libtiff can decompress.

Pillow knows few of these layouts, and OpenCV returns rubbish for colours that lie in planes. So the file is shown to
Pillow as a gray picture of its bytes, with as many strips or tiles, and the samples are put together from these here.
"""

from __future__ import annotations

import io

import numpy as np
import PIL.ImageFile
import PIL.TiffImagePlugin

from revisage.images.tiff_directory import Directory, with_numbers
from revisage.types import Array

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 259, 262, 274, 277
_PLANAR, _PREDICTOR, _TILE_WIDTH, _EXTRA, _SAMPLE_FORMAT = 284, 317, 322, 338, 339
_PIECES = (273, 279, 324, 325)
"""Offsets and byte counts of strips and of tiles."""
_NOT_OF_BYTES = frozenset({254, 255, 280, 281, 320, 330, 332, 333, 334, 336, _EXTRA, _SAMPLE_FORMAT, 340, 341})
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _INKS = 0, 1, 2, 5
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}
_ASSOCIATED, _UNASSOCIATED = 1, 2
MOST_SAMPLES = 16
"""Channels of a picture that are decoded; more of them would be a cheap way to fill the memory."""
_PACKED_BY_SAMPLE = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""Compressions that know nothing of samples: none, LZW, deflate, PackBits, old deflate, LZMA, Zstandard."""


class TiffPicture(PIL.TiffImagePlugin.TiffImageFile):
    """Pillow's TIFF without its limit on pixels, which is one for the whole process; ours is held beforehand."""

    load_prepare = PIL.ImageFile.ImageFile.load_prepare


def is_supported(directory: Directory) -> bool:
    """Whether ``decode`` can read a picture: gray or RGB of 16-bit integers, any extra channels, losslessly packed."""
    return (
        set(directory.numbers(_BITS)) == {16}
        and directory.number(_PHOTOMETRIC, -1) in _COLOURS
        and set(directory.numbers(_SAMPLE_FORMAT, (1,))) == {1}
        and directory.number(_COMPRESSION, 1) in _PACKED_BY_SAMPLE
        and directory.number(_PREDICTOR, 1) in (1, 2)
        and _COLOURS[directory.number(_PHOTOMETRIC, -1)] <= directory.number(_SAMPLES, 1) <= MOST_SAMPLES
    )


def unsupported_kind(directory: Directory) -> str:
    """What kind of pixels more than 8 bits hold that neither ``decode`` nor Pillow brings down to 8; else empty."""
    bits = max(directory.numbers(_BITS, (1,)))
    if bits <= 8 or (bits == 16 and directory.number(_PHOTOMETRIC, -1) == _INKS):
        return ""
    names = {1: "integers in this layout", 2: "signed integers", 3: "floating point numbers"}
    return f"pixels of {bits}-bit {names.get(directory.number(_SAMPLE_FORMAT, 1), 'numbers')}"


def size(directory: Directory) -> tuple[int, int]:
    """Width and height as stored, in pixels."""
    return directory.number(_WIDTH, 0), directory.number(_HEIGHT, 0)


def orientation(directory: Directory) -> int:
    """Orientation 1..8 (TIFF 6.0, section 8); 1 if there is none or it makes no sense."""
    value = directory.number(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def decode(directory: Directory) -> Array:
    """(H, W, 1..4) uint16 as stored, not yet upright: gray, gray and alpha, RGB or RGBA, alpha not multiplied in.

    Raises:
        OSError, ValueError, SyntaxError, struct.error: the file is damaged or truncated.
    """
    samples = directory.number(_SAMPLES, 1)
    planes = samples if directory.number(_PLANAR, 1) == 2 else 1
    pixels = np.dstack([_samples(directory, plane, planes) for plane in range(planes)])
    photometric = directory.number(_PHOTOMETRIC, -1)
    colours = _COLOURS[photometric]
    if photometric == _WHITE_IS_ZERO:
        pixels[:, :, 0] = 65535 - pixels[:, :, 0]
    extra = directory.numbers(_EXTRA, (_UNASSOCIATED,))  # files that forget to say mean this
    kind = extra[0] if samples > colours else 0
    if kind not in (_ASSOCIATED, _UNASSOCIATED):
        return pixels[:, :, :colours]  # a channel that says nothing of transparency
    return _unmultiplied(pixels[:, :, : colours + 1]) if kind == _ASSOCIATED else pixels[:, :, : colours + 1]


def upright_view(directory: Directory) -> bytes:
    """The file with this picture as its first one, and not to be turned: Pillow would turn it by itself."""
    return with_numbers(directory, {_ORIENTATION: (1,)}, frozenset())


def byte_view(directory: Directory, plane: int = 0) -> bytes:
    """The file as a gray 8-bit picture of the bytes of its samples, metadata included.

    Args:
        directory: of 16 bits a channel.
        plane: which of its planes, where the channels lie apart.
    """
    samples = directory.number(_SAMPLES, 1)
    apart = directory.number(_PLANAR, 1) == 2
    width = 2 if apart else 2 * samples  # bytes a pixel
    replaced: dict[int, tuple[int, ...]] = {
        _WIDTH: (directory.number(_WIDTH, 0) * width,),
        _BITS: (8,),
        _PHOTOMETRIC: (_BLACK_IS_ZERO,),
        _ORIENTATION: (1,),
        _SAMPLES: (1,),
        _PLANAR: (1,),
        _PREDICTOR: (1,),
    }
    if _TILE_WIDTH in directory.entries:
        replaced[_TILE_WIDTH] = (directory.number(_TILE_WIDTH, 0) * width,)
    for tag in _PIECES:
        if numbers := directory.numbers(tag):
            share = len(numbers) // (samples if apart else 1)
            replaced[tag] = numbers[plane * share : (plane + 1) * share]
    return with_numbers(directory, replaced, _NOT_OF_BYTES)


def _samples(directory: Directory, plane: int, planes: int) -> Array:
    """(H, W, samples that lie together) uint16."""
    width, height = size(directory)
    samples = directory.number(_SAMPLES, 1) if planes == 1 else 1
    view = TiffPicture(io.BytesIO(byte_view(directory, plane)), "")
    rows = np.array(view)
    pixels = rows.view(f"{directory.form.order}u2").reshape(height, width, samples).astype(np.uint16)
    if directory.number(_PREDICTOR, 1) == 2:
        step = directory.number(_TILE_WIDTH, width) or width
        for left in range(0, width, step):  # differences begin anew in every tile; they wrap around
            part = pixels[:, left : left + step]
            np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return pixels


def _unmultiplied(pixels: Array) -> Array:
    """Divide the colours by the alpha that they were multiplied with."""
    alpha = pixels[:, :, -1:].astype(np.float64)
    colours = np.divide(pixels[:, :, :-1] * 65535.0, alpha, out=np.zeros(pixels[:, :, :-1].shape), where=alpha > 0)
    return np.dstack([np.rint(np.minimum(colours, 65535)).astype(np.uint16), pixels[:, :, -1:]])
