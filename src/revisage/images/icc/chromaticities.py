"""ICC profiles for colour spaces that files name in other words: PNG's chromaticities and gamma, DCF's Adobe RGB."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
"""CIE 1931 chromaticity, x and y."""

D65: Point = (0.3127, 0.3290)
SRGB_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_RGB_GAMMA = 563 / 256
"""Adobe RGB (1998), 4.3.1."""

_D50_XYZ = np.array([0.9642, 1.0, 0.8249])
_CONES_FROM_XYZ = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Bradford, as ICC.1:2022, annex E, has it."""


def adapted_matrix(white: Point, primaries: tuple[Point, Point, Point]) -> NDArray[np.float64]:
    """Linear RGB -> XYZ adapted to D50: (3, 3).

    Raises:
        ValueError: the primaries lie on a line, or a point has no y.
    """
    if min(white[1], *(y for _, y in primaries)) <= 0:
        raise ValueError("a chromaticity has no y")
    columns = np.array([_xyz(point) for point in primaries]).T
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ValueError("the primaries lie on a line")
    unadapted = columns * np.linalg.solve(columns, _xyz(white))
    gains = (_CONES_FROM_XYZ @ _D50_XYZ) / (_CONES_FROM_XYZ @ _xyz(white))
    return np.linalg.inv(_CONES_FROM_XYZ) @ np.diag(gains) @ _CONES_FROM_XYZ @ unadapted


def rgb_profile(
    name: str, gamma: float, white: Point = D65, primaries: tuple[Point, Point, Point] = SRGB_PRIMARIES
) -> bytes:
    """An ICC profile, version 2.1, of a space with a plain gamma.

    Args:
        name: what programs call it, ASCII.
        gamma: exponent from stored values to light, 1/256 to 255.
        white: chromaticity of the white point.
        primaries: of red, green and blue.

    Raises:
        ValueError: no space has these numbers.
    """
    if not 1 / 256 <= gamma < 256:
        raise ValueError(f"no gamma: {gamma}")
    curve = b"curv" + struct.pack(">LLHxx", 0, 1, round(gamma * 256))
    contents = {
        b"desc": _described(name),
        b"cprt": b"text\0\0\0\0No copyright\0",
        b"wtpt": _xyz_tag(_D50_XYZ),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    columns = adapted_matrix(white, primaries).T
    contents |= {sign: _xyz_tag(column) for sign, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return _assembled(contents)


def _assembled(contents: dict[bytes, bytes]) -> bytes:
    """Header, table of tags, tags (ICC.1:2022, 7)."""
    table, body, start = b"", b"", 128 + 4 + 12 * len(contents)
    for signature, content in contents.items():
        table += struct.pack(">4sLL", signature, start + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    header = struct.pack(">LL4s4s4s4s", start + len(body), 0, b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(_D50_XYZ)
    return header.ljust(128, b"\0") + struct.pack(">L", len(contents)) + table + body


def _described(name: str) -> bytes:
    text = name.encode("ascii", "replace") + b"\0"
    return b"desc" + struct.pack(">LL", 0, len(text)) + text + bytes(8 + 3 + 67)


def _xyz(point: Point) -> NDArray[np.float64]:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: NDArray[np.float64]) -> bytes:
    return struct.pack(">3l", *(round(float(value) * 65536) for value in values))
