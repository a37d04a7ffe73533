"""Tag directories of TIFF files and EXIF blocks (TIFF 6.0, section 2, and BigTIFF), as they stand in the bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a file: byte order, then whether offsets have 4 or 8 bytes."""
MAX_DIRECTORIES = 10_000
MAX_ENTRIES = 400_000
"""Of all directories of a file together: 40 for each. Directories that overlap hold any number in few bytes."""
_INTEGERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
"""Field type -> its letter in ``struct``, for fields that hold unsigned integers."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_REDUCED, _OLD_REDUCED = 254, 255


class Form(NamedTuple):
    """Layout of the numbers in a file, for ``struct``.

    Attributes:
        order: ``<`` or ``>``.
        word: an offset.
        length: the number of entries of a directory.
        entry: tag, type, count, and value or its offset.
        first: position of the first directory's offset.
        is_big: BigTIFF: counts and offsets have 8 bytes instead of 4.
    """

    order: str
    word: str
    length: str
    entry: str
    first: int
    is_big: bool


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of one image of a TIFF file.

    Attributes:
        data: the whole file.
        form: layout of its numbers.
        offset: start of the directory.
        entries: tag -> (type, count, the 4 or 8 bytes that hold the value or its offset).
        following: offset of the next directory, 0 for none.
    """

    data: bytes = field(repr=False)
    form: Form
    offset: int
    entries: Mapping[int, tuple[int, int, bytes]]
    following: int

    def numbers(self, tag: int, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Read the integers of a tag; ``default`` if it is not there.

        ValueError: the tag holds something else, or lies outside the file.
        """
        if tag not in self.entries:
            return tuple(default)
        kind, count, value = self.entries[tag]
        size = _SIZES.get(kind, 0) * count
        start = 0 if size <= len(value) else struct.unpack(self.form.word, value)[0]
        source = value if size <= len(value) else self.data
        if kind not in _INTEGERS or start + size > len(source):
            raise ValueError(f"tag {tag} cannot be read")
        return struct.unpack_from(f"{self.form.order}{count}{_INTEGERS[kind]}", source, start)

    def number(self, tag: int, default: int) -> int:
        """Read the first integer of a tag."""
        return (self.numbers(tag) or (default,))[0]

    @property
    def end(self) -> int:
        """End of the entries, where the offset of the next directory stands."""
        (count,) = struct.unpack_from(self.form.length, self.data, self.offset)
        return self.offset + struct.calcsize(self.form.length) + count * struct.calcsize(self.form.entry)

    def entry_offset(self, tag: int) -> int:
        """Find the start of the entry of a tag in the file; the tag must be there."""
        size = struct.calcsize(self.form.entry)
        starts = range(self.end - size, self.offset, -size)  # of two entries with one tag the last one counts
        return next(start for start in starts if struct.unpack_from(self.form.order + "H", self.data, start)[0] == tag)

    @property
    def is_preview(self) -> bool:
        """Whether the file calls this image a smaller version of another one."""
        return bool(self.number(_REDUCED, 0) & 1) or self.number(_OLD_REDUCED, 1) == 2


def detect_form(data: bytes) -> Form:
    """Find the layout of the numbers of a TIFF file (ValueError: not a TIFF file)."""
    if data[:4] not in MARKS:
        raise ValueError("not a TIFF file")
    order = "<" if data[:1] == b"I" else ">"
    if b"+" in data[:4]:
        return Form(order, order + "Q", order + "Q", order + "HHQ8s", 8, is_big=True)
    return Form(order, order + "L", order + "H", order + "HHL4s", 4, is_big=False)


def has_directory(data: bytes) -> bool:
    """Whether the first directory, which many programs put at the end, lies within a file."""
    try:
        form = detect_form(data)
        return struct.unpack_from(form.word, data, form.first)[0] < len(data)
    except (ValueError, struct.error):
        return False


def iterate_directories(data: bytes) -> Iterator[Directory]:
    """Yield the directories of a TIFF file in order; a circle of them is gone through once.

    ValueError, struct.error: the file is damaged or truncated.
    """
    form = detect_form(data)
    (offset,) = struct.unpack_from(form.word, data, form.first)
    seen: set[int] = set()
    total = 0
    while offset and offset not in seen and len(seen) < MAX_DIRECTORIES:
        seen.add(offset)
        total += struct.unpack_from(form.length, data, offset)[0]
        if total > MAX_ENTRIES:
            raise ValueError("it has too many tags")
        directory = read_directory(data, form, offset)
        yield directory
        offset = directory.following


def read_directory(data: bytes, form: Form, offset: int) -> Directory:
    """Read the directory at an offset (ValueError, struct.error: the file is damaged or truncated)."""
    (count,) = struct.unpack_from(form.length, data, offset)
    start = offset + struct.calcsize(form.length)
    end = start + count * struct.calcsize(form.entry)
    if end > len(data):
        raise ValueError("the tags are truncated")
    entries = {tag: (kind, n, value) for tag, kind, n, value in struct.iter_unpack(form.entry, data[start:end])}
    following = struct.unpack_from(form.word, data, end)[0] if end + struct.calcsize(form.word) <= len(data) else 0
    return Directory(data, form, offset, entries, following)


def prepend_directory(
    directory: Directory, replaced: Mapping[int, Sequence[int]], dropped: frozenset[int] = frozenset()
) -> bytes:
    """Build the file with one more directory, which comes first: ``directory`` with some tags changed or left out."""
    form = directory.form
    start = len(directory.data) + len(directory.data) % 2
    entries = {tag: entry for tag, entry in directory.entries.items() if tag not in dropped}
    head, size, width = (struct.calcsize(layout) for layout in (form.length, form.entry, form.word))
    values_start = start + head + size * len(entries.keys() | replaced.keys()) + width
    values = b""
    for tag, numbers in replaced.items():
        packed = struct.pack(f"{form.word[0]}{len(numbers)}{form.word[1]}", *numbers)
        inline = packed if len(numbers) == 1 else struct.pack(form.word, values_start + len(values))
        values += packed if len(numbers) > 1 else b""
        entries[tag] = (16 if form.is_big else 4, len(numbers), inline)
    body = b"".join(struct.pack(form.entry, tag, *entries[tag]) for tag in sorted(entries))
    body = struct.pack(form.length, len(entries)) + body + struct.pack(form.word, 0) + values
    front = directory.data[: form.first] + struct.pack(form.word, start) + directory.data[form.first + width :]
    return front.ljust(start, b"\0") + body
