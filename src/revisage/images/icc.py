"""ICC profiles (ICC.1:2022): the way from a photo's own color space to sRGB and back, so that networks see sRGB.

Profiles of primaries and curves are computed exactly in floating point; those made of tables go through Little CMS.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
from numpy.typing import NDArray

from revisage.types import Array, FloatImage

Point = tuple[float, float]
"""CIE 1931 chromaticity, x and y."""
Transform = Callable[[FloatImage], FloatImage]
"""(H, W, 3) float32 in [0, 1] -> the same colors in another space, clipped to [0, 1]."""

D65: Point = (0.3127, 0.3290)
SRGB_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB_PRIMARIES: tuple[Point, Point, Point] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_RGB_GAMMA = 563 / 256
"""Adobe RGB (1998), 4.3.1."""
XYZ_FROM_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
"""Linear sRGB -> XYZ, adapted from D65 to the D50 of profiles (Bradford)."""
SRGB_TOLERANCE = 1 / 255
"""Largest difference to sRGB of a space that is taken for sRGB."""
GRID_POINTS = 52
"""Colors a side of the grid for profiles made of tables: every fifth of the 256 values. Its colors are exact to half of
1/255, the 8 bits that Pillow uses Little CMS with."""
_D50_XYZ = np.array([0.9642, 1.0, 0.8249])
_CONES_FROM_XYZ = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Bradford (ICC.1:2022, annex E)."""
_HEADER = 128
_CURVE_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
"""Function type of a parametric curve -> the names of its parameters, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class ColorSpace:
    """The color space of a photo.

    Attributes:
        to_srgb: (H, W, 3) float32 in [0, 1] -> the same colors in sRGB; those outside of it come to its border.
        from_srgb: (H, W, 3) float32 in [0, 1] in sRGB -> the photo's space.
    """

    to_srgb: Transform
    from_srgb: Transform

    def apply_correction(self, before: FloatImage, srgb_before: FloatImage, srgb_after: FloatImage) -> FloatImage:
        """Bring a network's correction into the photo's space; all are (H, W, 3) float32 in [0, 1].

        Returns ``before`` with the difference of ``srgb_after``, the network's output, and ``srgb_before``, its input:
        to the last bit where these are equal. Colors that sRGB does not have stay what they are where nothing was
        corrected.
        """
        correction = self.from_srgb(srgb_after) - self.from_srgb(srgb_before)
        return np.where(correction != 0, np.clip(before + correction, 0, 1), before).astype(np.float32)


@lru_cache(maxsize=32)
def parse_color_space(icc: bytes) -> ColorSpace | None:
    """Parse the color space that an ICC profile, in color or gray, describes.

    None for sRGB: no profile, one within 1/255 of sRGB everywhere, or one that nothing can be made of (damaged, of
    inks, or without a way back).
    """
    try:
        primaries = read_primaries(icc) if icc else None
        if primaries:
            space = _from_primaries(*primaries)
        else:
            transforms = sample_transforms(icc) if icc[16:20] == b"RGB " else None
            space = ColorSpace(*transforms) if transforms else None
    except (ValueError, struct.error):
        return None
    return space if space is not None and not _is_srgb(space) else None


# --- Profiles of primaries and tone curves ---


@dataclass(frozen=True, slots=True)
class ParametricCurve:
    """y = (a x + b)^g + e from x = d on, y = c x + f below: every kind of parametric curve, and plain gamma.

    Arrays are float32 or float64 of any shape and keep their dtype. ValueError: the curve does not rise.
    """

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def __post_init__(self) -> None:
        if self.g <= 0 or self.a <= 0 or self.c < 0:
            raise ValueError("the tone curve does not rise")

    def to_linear(self, encoded: NDArray[Any]) -> NDArray[Any]:
        """Stored values in [0, 1] -> amounts of light."""
        power = np.maximum(self.a * encoded + self.b, 0) ** self.g + self.e
        return np.where(encoded >= self.d, power, self.c * encoded + self.f)

    def from_linear(self, linear: NDArray[Any]) -> NDArray[Any]:
        """Amounts of light in [0, 1] -> stored values."""
        power = (np.maximum(linear - self.e, 0) ** (1 / self.g) - self.b) / self.a
        if self.c <= 0:
            return power
        knee = max(self.a * self.d + self.b, 0) ** self.g + self.e
        return np.where(linear >= knee, power, (linear - self.f) / self.c)


@dataclass(frozen=True, slots=True, eq=False)
class SampledCurve:
    """A curve through points at equal distances, straight between them.

    Attributes:
        values: (n,) float64, not falling; the first belongs to 0, the last to 1.
    """

    values: NDArray[np.float64]

    def to_linear(self, encoded: NDArray[Any]) -> NDArray[Any]:
        """Stored values in [0, 1] -> amounts of light."""
        return np.interp(encoded, np.linspace(0, 1, len(self.values)), self.values).astype(encoded.dtype)

    def from_linear(self, linear: NDArray[Any]) -> NDArray[Any]:
        """Amounts of light in [0, 1] -> stored values."""
        return np.interp(linear, self.values, np.linspace(0, 1, len(self.values))).astype(linear.dtype)


Curve = ParametricCurve | SampledCurve
SRGB_CURVE = ParametricCurve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""IEC 61966-2-1."""


def read_primaries(icc: bytes) -> tuple[Sequence[Curve], NDArray[np.float64]] | None:
    """Read the curves of red, green and blue, and the matrix from linear values to XYZ under D50, (3, 3).

    Returns None if the profile is made of tables (or is one of inks). ValueError, struct.error: no profile, a damaged
    one, or curves and primaries that cannot be inverted.
    """
    space, connection = icc[16:20], icc[20:24]
    tags = _read_tags(icc)
    if space == b"GRAY" and connection == b"XYZ " and b"kTRC" in tags:
        curve = read_curve(tags[b"kTRC"])
        return [curve] * 3, XYZ_FROM_SRGB
    if space != b"RGB " or connection != b"XYZ " or b"rXYZ" not in tags:
        return None
    curves = [read_curve(tags.get(channel + b"TRC", b"")) for channel in (b"r", b"g", b"b")]
    columns = [struct.unpack_from(">3l", tags.get(channel + b"XYZ", b""), 8) for channel in (b"r", b"g", b"b")]
    matrix = np.array(columns).T / 65536
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise ValueError("the primaries lie on a line")
    return curves, matrix


def read_curve(content: bytes) -> Curve:
    """Read the content of a ``curv`` or ``para`` tag (ICC.1:2022, 10.6 and 10.18).

    ValueError, struct.error: malformed, or a curve that cannot be inverted.
    """
    if content[:4] == b"para":
        return _read_parametric_curve(content)
    if content[:4] != b"curv":
        raise ValueError("not a tone curve")
    (count,) = struct.unpack_from(">L", content, 8)
    if count == 0:
        return ParametricCurve(1.0)
    if count == 1:
        return ParametricCurve(struct.unpack_from(">H", content, 12)[0] / 256)
    if 12 + 2 * count > len(content):
        raise ValueError("the tone curve is truncated")
    values: Array = np.frombuffer(content, ">u2", count, 12) / 65535.0
    if (np.diff(values) < 0).any() or values[0] == values[-1]:
        raise ValueError("the tone curve falls")
    return SampledCurve(values)


def _read_parametric_curve(content: bytes) -> ParametricCurve:
    (kind,) = struct.unpack_from(">H", content, 8)
    if kind not in _CURVE_PARAMETERS:
        raise ValueError(f"unknown kind of tone curve: {kind}")
    names = _CURVE_PARAMETERS[kind]
    numbers = [value / 65536 for value in struct.unpack_from(f">{len(names)}l", content, 12)]
    given = dict(zip(names, numbers, strict=True))
    if kind in (1, 2):  # power from -b/a on, constant below: c is the constant, not a slope
        constant = given.pop("c", 0.0)
        given |= {"d": -given["b"] / given["a"] if given["a"] else 0.0, "e": constant, "f": constant}
    return ParametricCurve(**given)


def _read_tags(icc: bytes) -> dict[bytes, bytes]:
    """Read signature -> content of every tag (ValueError, struct.error: no profile, or a damaged one)."""
    if icc[36:40] != b"acsp":
        raise ValueError("not an ICC profile")
    (count,) = struct.unpack_from(">L", icc, _HEADER)
    tags: dict[bytes, bytes] = {}
    for index in range(min(count, (len(icc) - _HEADER - 4) // 12)):
        signature, offset, size = struct.unpack_from(">4sLL", icc, _HEADER + 4 + 12 * index)
        tags[signature] = icc[offset : offset + size]
    return tags


def _from_primaries(curves: Sequence[Curve], xyz_from_linear: NDArray[np.float64]) -> ColorSpace:
    exact = np.linalg.solve(XYZ_FROM_SRGB, xyz_from_linear)
    srgb_from_photo, photo_from_srgb = exact.astype(np.float32), np.linalg.inv(exact).astype(np.float32)

    def to_srgb(image: FloatImage) -> FloatImage:
        light = np.stack([curve.to_linear(image[..., i]) for i, curve in enumerate(curves)], -1)
        return np.clip(SRGB_CURVE.from_linear(np.clip(light @ srgb_from_photo.T, 0, 1)), 0, 1).astype(np.float32)

    def from_srgb(image: FloatImage) -> FloatImage:
        light = np.clip(SRGB_CURVE.to_linear(image) @ photo_from_srgb.T, 0, 1)
        stored = np.stack([curve.from_linear(light[..., i]) for i, curve in enumerate(curves)], -1)
        return np.clip(stored, 0, 1).astype(np.float32)

    return ColorSpace(to_srgb, from_srgb)


def _is_srgb(space: ColorSpace) -> bool:
    steps = np.linspace(0, 1, 17, dtype=np.float32)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(17, -1, 3)
    return float(np.abs(space.to_srgb(colors) - colors).max()) <= SRGB_TOLERANCE


# --- Profiles made of tables: both ways to sRGB as grids of colors, filled by Little CMS ---


def sample_transforms(icc: bytes) -> tuple[Transform, Transform] | None:
    """Sample the ways to sRGB and back; None if the profile is damaged or has no table for one of the ways."""
    try:
        photo = PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = PIL.ImageCms.createProfile("sRGB")
        to_srgb, from_srgb = _fill_grid(photo, srgb), _fill_grid(srgb, photo)
    except (PIL.ImageCms.PyCMSError, OSError):
        return None
    return partial(interpolate, grid=to_srgb), partial(interpolate, grid=from_srgb)


def interpolate(image: FloatImage, grid: Array) -> FloatImage:
    """Interpolate an image (H, W, 3) in [0, 1] trilinearly in a grid of colors, (n, n, n, 3) by red, green and blue."""
    last = len(grid) - 1
    positions = np.clip(image, 0, 1) * np.float32(last)
    lower = np.minimum(positions.astype(np.intp), last - 1)
    fractions = positions - lower
    result = np.zeros(image.shape, np.float32)
    for corner in product((0, 1), repeat=3):
        weight = np.prod(np.where(corner, fractions, 1 - fractions), -1, keepdims=True)
        r, g, b = (lower[..., i] + corner[i] for i in range(3))
        result += weight * grid[r, g, b]
    return result


def _fill_grid(source: Any, target: Any) -> Array:
    n = GRID_POINTS
    steps = np.linspace(0, 255, n).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(n, -1, 3)
    intent = PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = PIL.ImageCms.buildTransform(source, target, "RGB", "RGB", intent)
    made = transform.point(PIL.Image.fromarray(colors))
    return (np.asarray(made, np.float32) / 255).reshape(n, n, n, 3)


# --- Profiles for spaces that files name in other words: PNG's chromaticities and gamma, DCF's Adobe RGB ---


def make_rgb_profile(
    name: str, gamma: float, white: Point = D65, primaries: tuple[Point, ...] = SRGB_PRIMARIES
) -> bytes:
    """Make an ICC profile, version 2.1, of a space with a plain gamma; ``name`` (ASCII) is shown by programs.

    ``gamma`` is the exponent from stored values to light, 1/256 to 255 (ValueError: no space has these numbers).
    """
    if not 1 / 256 <= gamma < 256:
        raise ValueError(f"no gamma: {gamma}")
    text = name.encode("ascii", "replace") + b"\0"
    curve = b"curv" + struct.pack(">LLHxx", 0, 1, round(gamma * 256))
    columns = xyz_from_rgb(white, primaries).T
    contents = {
        b"desc": b"desc" + struct.pack(">LL", 0, len(text)) + text + bytes(8 + 3 + 67),
        b"cprt": b"text\0\0\0\0No copyright\0",
        b"wtpt": b"XYZ \0\0\0\0" + _fixed_point(_D50_XYZ),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
        **{
            tag: b"XYZ \0\0\0\0" + _fixed_point(column)
            for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
        },
    }
    table, body, start = b"", b"", _HEADER + 4 + 12 * len(contents)
    for signature, content in contents.items():
        table += struct.pack(">4sLL", signature, start + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    header = struct.pack(">LL4s4s4s4s", start + len(body), 0, b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed_point(_D50_XYZ)
    return header.ljust(_HEADER, b"\0") + struct.pack(">L", len(contents)) + table + body


def xyz_from_rgb(white: Point, primaries: tuple[Point, ...]) -> NDArray[np.float64]:
    """Compute the (3, 3) matrix from linear RGB to XYZ adapted to D50.

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


def _xyz(point: Point) -> NDArray[np.float64]:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def _fixed_point(values: NDArray[np.float64]) -> bytes:
    return struct.pack(">3l", *(round(float(value) * 65536) for value in values))
