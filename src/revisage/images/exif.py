"""The EXIF block of a photo, made to fit the restored one without being written anew.

Rewriting a block loses what the rewriting program does not know, and moves the camera maker's note, whose parts are
found by their distance from the beginning. So only numbers are changed, in place (EXIF 2.32; JEITA CP-3451X).
"""

from __future__ import annotations

import struct

import PIL.Image

from revisage.images.tiff_directory import Directory, directories, directory_at

MARK = b"Exif\0\0"
"""What stands before the block in a JPEG segment."""
ORIENTATION = 274
_CAMERA, _INTEROPERABILITY = 34665, 40965
_SIDES = (256, 257)
_PIXEL_SIDES = (40962, 40963)
_PREVIEWS = ((513, 514), (273, 279))
"""Tags of the place and the length of a small picture: as JPEG, and as strips."""
_BULK = 1024
"""Bytes over which a value is bulk."""
_COLOUR_SPACE, _UNCALIBRATED, _INTEROPERABILITY_INDEX = 40961, 65535, 1


def upright(block: bytes, size: tuple[int, int]) -> bytes:
    """Set a block to orientation 1 and the new size, and take out the preview of the old picture.

    Args:
        block: with or without the ``Exif`` mark.
        size: width and height of the new picture.

    Returns:
        The block without mark; everything else in it stays where it was. Empty if it is malformed.
    """
    block = without_mark(block)
    try:
        main, *others = directories(block)
        result = bytearray(block)
        _set(result, main, ORIENTATION, 1)
        for tag, side in zip(_SIDES, size, strict=True):
            _set(result, main, tag, side)
        camera = _below(main, _CAMERA)
        for tag, side in zip(_PIXEL_SIDES, size, strict=True):
            _set(result, camera, tag, side)
        if others:
            struct.pack_into(main.form.word, result, main.end, 0)
        for preview in others:
            _erase(result, preview)
    except (ValueError, struct.error):
        return b""
    return bytes(result)


def without_bulk(block: bytes) -> bytes:
    """Write a block anew without its longest values, the maker's note among them, for formats that hold little.

    Args:
        block: with the ``Exif`` mark.
    """
    tags = PIL.Image.Exif()
    tags.load(block)
    for directory in (tags, tags.get_ifd(_CAMERA)):
        for tag in [tag for tag, value in directory.items() if isinstance(value, bytes | str) and len(value) > _BULK]:
            del directory[tag]
    return tags.tobytes()


def is_adobe_rgb(block: bytes) -> bool:
    """Whether a camera says that the pixels are Adobe RGB, as it does where it embeds no profile (DCF 2.0, R03)."""
    try:
        main = next(directories(without_mark(block)))
        camera = _below(main, _CAMERA)
        if camera is None or camera.number(_COLOUR_SPACE, 1) != _UNCALIBRATED:
            return False
        index = _below(camera, _INTEROPERABILITY)
        return index is not None and index.entries.get(_INTEROPERABILITY_INDEX, (0, 0, b""))[2][:3] == b"R03"
    except (ValueError, struct.error, StopIteration):
        return False


def without_mark(block: bytes) -> bytes:
    """The block from its TIFF header on."""
    return block.removeprefix(MARK)


def _below(directory: Directory, tag: int) -> Directory | None:
    """The directory that a tag leads to."""
    offset = directory.number(tag, 0)
    return directory_at(directory.data, directory.form, offset) if offset else None


def _set(block: bytearray, directory: Directory | None, tag: int, number: int) -> None:
    """Put one number where a tag has another; a tag that is not there stays so."""
    if directory is None or tag not in directory.entries:
        return
    order = directory.form.order
    kind = 3 if number < 2**16 else 4
    value = struct.pack(order + ("H" if kind == 3 else "L"), number)
    struct.pack_into(directory.form.entry, block, directory.place_of(tag), tag, kind, 1, value)


def _erase(block: bytearray, preview: Directory) -> None:
    """Take out the pixels of a preview: cut them off where they come last, else overwrite them with zeros."""
    for place, length in _PREVIEWS:
        for start, count in zip(preview.numbers(place), preview.numbers(length), strict=False):
            stop = min(start + count, len(block))
            if 0 < start < stop:
                block[start:stop] = b"" if stop == len(block) else bytes(stop - start)
