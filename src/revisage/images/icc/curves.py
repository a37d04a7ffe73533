"""Tone curves of ICC profiles, forth and back (ICC.1:2022, 10.6 and 10.18)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revisage.types import Array

Floats = NDArray[Any]
"""float32 or float64 of any shape; it keeps its type on the way through a curve."""

_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
"""Function type of a parametric curve -> the names of its parameters, in order."""
_TOP16 = 65535.0


@dataclass(frozen=True, slots=True)
class Parametric:
    """y = (a x + b)^g + e from x = d on, y = c x + f below: every kind of parametric curve, and plain gamma."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def linear(self, encoded: Floats) -> Floats:
        """Stored values in [0, 1] -> amounts of light."""
        power = np.maximum(self.a * encoded + self.b, 0) ** self.g + self.e
        return np.where(encoded >= self.d, power, self.c * encoded + self.f)

    def encoded(self, linear: Floats) -> Floats:
        """Amounts of light in [0, 1] -> stored values."""
        power = (np.maximum(linear - self.e, 0) ** (1 / self.g) - self.b) / self.a
        if self.c <= 0:
            return power
        knee = max(self.a * self.d + self.b, 0) ** self.g + self.e
        return np.where(linear >= knee, power, (linear - self.f) / self.c)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """A curve through points at equal distances, straight between them.

    Attributes:
        values: (n,) float64, not falling; the first belongs to 0, the last to 1.
    """

    values: NDArray[np.float64]

    def linear(self, encoded: Floats) -> Floats:
        """Stored values in [0, 1] -> amounts of light."""
        return np.interp(encoded, np.linspace(0, 1, len(self.values)), self.values).astype(encoded.dtype)

    def encoded(self, linear: Floats) -> Floats:
        """Amounts of light in [0, 1] -> stored values."""
        return np.interp(linear, self.values, np.linspace(0, 1, len(self.values))).astype(linear.dtype)


Curve = Parametric | Sampled
SRGB = Parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""IEC 61966-2-1."""


def read_curve(content: bytes) -> Curve:
    """The content of a ``curv`` or ``para`` tag -> the curve.

    Raises:
        ValueError, struct.error: malformed, or a curve that cannot be gone back.
    """
    if content[:4] == b"para":
        return _parametric(content)
    if content[:4] != b"curv":
        raise ValueError("not a tone curve")
    (count,) = struct.unpack_from(">L", content, 8)
    if count == 0:
        return Parametric(1.0)
    if count == 1:
        return _checked(Parametric(struct.unpack_from(">H", content, 12)[0] / 256))
    if 12 + 2 * count > len(content):
        raise ValueError("the tone curve is truncated")
    values: Array = np.frombuffer(content, ">u2", count, 12) / _TOP16
    if (np.diff(values) < 0).any() or values[0] == values[-1]:
        raise ValueError("the tone curve falls")
    return Sampled(values)


def _parametric(content: bytes) -> Parametric:
    (kind,) = struct.unpack_from(">H", content, 8)
    if kind not in _PARAMETERS:
        raise ValueError(f"unknown kind of tone curve: {kind}")
    names = _PARAMETERS[kind]
    numbers = [value / 65536 for value in struct.unpack_from(f">{len(names)}l", content, 12)]
    given = dict(zip(names, numbers, strict=True))
    if kind in (1, 2):  # power from -b/a on, constant below: c is the constant, not a slope
        constant = given.pop("c", 0.0)
        given |= {"d": -given["b"] / given["a"] if given["a"] else 0.0, "e": constant, "f": constant}
    return _checked(Parametric(**given))


def _checked(curve: Parametric) -> Parametric:
    if curve.g <= 0 or curve.a <= 0 or curve.c < 0:
        raise ValueError("the tone curve does not rise")
    return curve
