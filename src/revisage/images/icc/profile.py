"""What an ICC profile says of a colour space (ICC.1:2022): tags, primaries, tone curves."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from revisage.images.icc.curves import Curve, read_curve

_HEADER = 128
_RGB, _GRAY, _XYZ = b"RGB ", b"GRAY", b"XYZ "


@dataclass(frozen=True, slots=True, eq=False)
class Primaries:
    """A colour space of three primaries, or of gray.

    Attributes:
        curves: of red, green and blue.
        xyz_from_linear: (3, 3) float64, amounts of light -> XYZ under D50; None for gray.
    """

    curves: tuple[Curve, Curve, Curve]
    xyz_from_linear: NDArray[np.float64] | None


def tags(icc: bytes) -> dict[bytes, bytes]:
    """Signature -> content of every tag.

    Raises:
        ValueError, struct.error: no profile, or a damaged one.
    """
    if icc[36:40] != b"acsp":
        raise ValueError("not an ICC profile")
    (count,) = struct.unpack_from(">L", icc, _HEADER)
    found: dict[bytes, bytes] = {}
    for place in range(min(count, (len(icc) - _HEADER - 4) // 12)):
        signature, offset, size = struct.unpack_from(">4sLL", icc, _HEADER + 4 + 12 * place)
        found[signature] = icc[offset : offset + size]
    return found


def read_primaries(icc: bytes) -> Primaries | None:
    """The primaries and curves of a profile; None if it is made of tables (or is one of inks).

    Raises:
        ValueError, struct.error: no profile, a damaged one, or curves and primaries that cannot be gone back.
    """
    space, connection = icc[16:20], icc[20:24]
    found = tags(icc)
    if space == _GRAY and connection == _XYZ and b"kTRC" in found:
        curve = read_curve(found[b"kTRC"])
        return Primaries((curve, curve, curve), None)
    if space != _RGB or connection != _XYZ or b"rXYZ" not in found:
        return None
    red, green, blue = (read_curve(found.get(channel + b"TRC", b"")) for channel in (b"r", b"g", b"b"))
    columns = [_xyz(found.get(channel + b"XYZ", b"")) for channel in (b"r", b"g", b"b")]
    matrix = np.array(columns).T
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise ValueError("the primaries lie on a line")
    return Primaries((red, green, blue), matrix)


def _xyz(content: bytes) -> tuple[float, float, float]:
    x, y, z = struct.unpack_from(">3l", content, 8)
    return x / 65536, y / 65536, z / 65536
