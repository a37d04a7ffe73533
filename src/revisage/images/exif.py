"""The EXIF block of a photo, made to fit the restored one by changing single numbers in place.

A block that is written anew loses what the writing program does not know, and moves the camera maker's note, whose
parts are found by their distance from the beginning (EXIF 2.32; JEITA CP-3451X).
"""

from __future__ import annotations

import struct

import PIL.Image

from revisage.images.tiff_directory import Directory, iterate_directories, read_directory

MARK = b"Exif\0\0"
"""Stands before the block in a JPEG segment."""
ORIENTATION = 274
_CAMERA, _INTEROPERABILITY = 34665, 40965
_SIZES = (256, 257)
_PIXEL_SIZES = (40962, 40963)
_PREVIEWS = ((513, 514), (273, 279))
"""Tags of the offset and the length of a preview: as JPEG, and as strips."""
_BULK = 1024
"""Bytes over which a value is bulk."""
_COLOR_SPACE, _UNCALIBRATED, _INTEROPERABILITY_INDEX = 40961, 65535, 1


def set_upright(block: bytes, size: tuple[int, int]) -> bytes:
    """Set a block to orientation 1 and the new size (width, height), and take out the preview of the old image.

    Returns the block without its ``Exif`` mark; everything else in it stays where it was. Empty if it is malformed.
    """
    block = block.removeprefix(MARK)
    try:
        main, *others = iterate_directories(block)
        result = bytearray(block)
        camera = _follow(main, _CAMERA)
        _set(result, main, ORIENTATION, 1)
        for directory, tags in ((main, _SIZES), (camera, _PIXEL_SIZES)):
            for tag, pixels in zip(tags, size, strict=True):
                _set(result, directory, tag, pixels)
        if others:
            struct.pack_into(main.form.word, result, main.end, 0)
        for preview in others:
            _erase(result, preview)
    except (ValueError, struct.error):
        return b""
    return bytes(result)


def drop_bulk(block: bytes) -> bytes:
    """Write a block, with its ``Exif`` mark, anew without its longest values: for formats that hold little.

    The maker's note is among these.
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
        main = next(iterate_directories(block.removeprefix(MARK)))
        camera = _follow(main, _CAMERA)
        if camera is None or camera.number(_COLOR_SPACE, 1) != _UNCALIBRATED:
            return False
        index = _follow(camera, _INTEROPERABILITY)
        return index is not None and index.entries.get(_INTEROPERABILITY_INDEX, (0, 0, b""))[2][:3] == b"R03"
    except (ValueError, struct.error, StopIteration):
        return False


def _follow(directory: Directory, tag: int) -> Directory | None:
    """Read the directory that a tag leads to."""
    offset = directory.number(tag, 0)
    return read_directory(directory.data, directory.form, offset) if offset else None


def _set(block: bytearray, directory: Directory | None, tag: int, number: int) -> None:
    """Replace the value of a tag by one number; a tag that is not there stays so."""
    if directory is None or tag not in directory.entries:
        return
    kind, letter = (3, "H") if number < 2**16 else (4, "L")
    value = struct.pack(directory.form.order + letter, number)
    struct.pack_into(directory.form.entry, block, directory.entry_offset(tag), tag, kind, 1, value)


def _erase(block: bytearray, preview: Directory) -> None:
    """Take out the pixels of a preview: cut them off where they come last, else overwrite them with zeros."""
    for offset, length in _PREVIEWS:
        for start, count in zip(preview.numbers(offset), preview.numbers(length), strict=False):
            stop = min(start + count, len(block))
            if 0 < start < stop:
                block[start:stop] = b"" if stop == len(block) else bytes(stop - start)
