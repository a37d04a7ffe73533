"""Small damage to valid files, drawn by hypothesis, and repairs that carry it past checksums."""

import io
import random
import struct
import zipfile
import zlib

INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 60_000, 1_000_000)
TOKENS = (
    *(b'{"a":', b"[", b"]", b"}", b"null", b"NaN", b"1e999", b"-1", b"\x00", b"\n", b"\xff\xfe", b"\xed\xa0\x80", b'"'),
    *(b"&a [*a,*a]", b"*a", b"!!python/object/apply:os.system [x]", b"!!int 9", b"? ", b"<<: ", b": ", b"- ", b"---\n"),
    *(b"../../x", b"/etc/passwd", b"9" * 5000, b"[" * 3000, b"\xd9\xa3", b"2001-99-99", b"0x", b"1:60:60", b"!!binary"),
)
"""What parsers of texts have stumbled over."""


def damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to six edits of a file at random."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        data = rng.choice(EDITS)(bytearray(data), others, rng)
    return data


def _flip(data: bytearray, others: list[bytes], rng: random.Random) -> bytes:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _number(data: bytearray, others: list[bytes], rng: random.Random) -> bytes:
    value, size = rng.choice(INTERESTING), rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(data) + 1)
    data[at : at + size] = (value & (256**size - 1)).to_bytes(size, rng.choice(("little", "big")))
    return bytes(data)


def _token(data: bytearray, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    data[at : at + rng.choice((0, 0, 1, 4))] = rng.choice(TOKENS)
    return bytes(data)


def _cut(data: bytearray, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 4, 16, 256, 1 << 30))]
    return bytes(data)


def _repeat(data: bytearray, others: list[bytes], rng: random.Random) -> bytes:
    start, at = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
    data[at:at] = data[start : start + rng.choice((4, 16, 256))] * rng.choice((1, 1, 50))
    return bytes(data)


def _splice(data: bytearray, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return bytes(data[: rng.randrange(len(data) + 1)]) + other[rng.randrange(len(other) + 1) :]


EDITS = (_flip, _number, _token, _cut, _repeat, _splice)


def repaired(data: bytes) -> bytes:
    """Right checksums for the chunks of a PNG and the members of an archive, so that damage is read and not refused."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _repaired_png(data)
    if data.startswith(b"PK\x03\x04"):
        return _repaired_zip(data)
    return data


def _repaired_png(data: bytes) -> bytes:
    parts, at = [data[:8]], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        parts += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts)


def _repaired_zip(data: bytes) -> bytes:
    """The archive packed anew from what its local headers say, as far as they make sense."""
    file, at, names = io.BytesIO(), 0, set[str]()
    with zipfile.ZipFile(file, "w") as archive:
        while data[at : at + 4] == b"PK\x03\x04" and at + 30 <= len(data):
            size, _, named, extra = struct.unpack_from("<IIHH", data, at + 18)
            start = at + 30 + named + extra
            name = data[at + 30 : at + 30 + named].decode("latin1").replace("\0", "0") or "x"
            if name not in names:
                names.add(name)
                archive.writestr(name, data[start : start + size])
            at = start + size
            if data[at : at + 4] == b"PK\x07\x08":  # a data descriptor
                at += 16
    return file.getvalue()
