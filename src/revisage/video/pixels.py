"""Convert between decoded frames (Y'CbCr in many layouts) and images (RGB), without a shift of color.

Conversions use the matrix and the range that the video names. A video that names none is read as players do: BT.709
from 720 lines on, BT.601 below; limited range. Frames of more than 8 bits a channel become 16-bit images.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from revisage.types import Array, Image

EXACT = (
    # Without the last three swscale rounds down: a round trip darkens 8-bit images by more than one level.
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""FFmpeg's AVColorSpace (ITU-T H.273 MatrixCoefficients) -> swscale's name for it."""
_FULL = int(ColorRange.JPEG)


@dataclass(frozen=True, slots=True)
class Colors:
    """Meaning of the samples of a video, in the codes of ITU-T H.273; 2 (range: 0) where it does not say.

    Attributes:
        matrix: Y'CbCr from RGB.
        range: 1 limited (16..235), 2 full (0..255).
        primaries: the red, green and blue that are meant.
        transfer: light from values.
    """

    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2

    def for_height(self, height: int) -> tuple[Colorspace, ColorRange]:
        """Matrix and range to convert with."""
        unnamed = Colorspace.ITU709 if height >= 720 else Colorspace.ITU601
        return _MATRICES.get(self.matrix, unnamed), ColorRange.JPEG if self.range == _FULL else ColorRange.MPEG


@dataclass(frozen=True, slots=True)
class Orientation:
    """How players turn and mirror the coded frames of a video: one of eight ways.

    Attributes:
        matrix: the display matrix as FFmpeg gives it, 9 numbers, row by row; empty if the video has none.
    """

    matrix: tuple[int, ...] = ()

    def upright(self, coded: Image) -> Image:
        """A coded image as players show it."""
        transposed, rows, columns = self._steps()
        image = coded.swapaxes(0, 1) if transposed else coded
        return np.ascontiguousarray(image[::rows, ::columns])

    def coded(self, upright: Image) -> Image:
        """The inverse of ``upright``."""
        transposed, rows, columns = self._steps()
        image = upright[::rows, ::columns]
        return np.ascontiguousarray(image.swapaxes(0, 1) if transposed else image)

    def _steps(self) -> tuple[bool, int, int]:
        """Whether x and y change places, and the steps through rows and columns after that: 1, or -1 for back to front.

        The matrix takes a coded point (p, q) to x = a p + c q and y = b p + d q.
        """
        if not self.matrix:
            return False, 1, 1
        a, b, _, c, d = self.matrix[:5]
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        x, y = (c, b) if transposed else (a, d)
        return transposed, -1 if y < 0 else 1, -1 if x < 0 else 1


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation of a frame, and with it of the video."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    return Orientation(struct.unpack("=9i", bytes(matrix)) if matrix else ())


def colors_of(frame: VideoFrame) -> Colors:
    """The color description of a frame, and with it of the video."""
    if frame.format.is_rgb or frame.format.has_palette:  # has no matrix; the result has that of its height
        matrix = 1 if frame.height >= 720 else 6
        return Colors(matrix, 1, int(frame.color_primaries), int(frame.color_trc))
    full = frame.format.name.startswith(("yuvj", "gray")) and not frame.color_range
    return Colors(
        int(frame.colorspace),
        _FULL if full else int(frame.color_range),
        int(frame.color_primaries),
        int(frame.color_trc),
    )


def hdr10_of(frame: VideoFrame) -> str:
    """The HDR10 mastering data of a frame (SMPTE ST 2086, CTA-861.3) in the words of x265; "" if there are none.

    Chromaticities are counted in 0.00002, luminances in 0.0001 candela a square meter.
    """
    display: Any = frame.side_data.get("MASTERING_DISPLAY_METADATA")
    light: Any = frame.side_data.get("CONTENT_LIGHT_LEVEL")
    parts: list[str] = []
    if display and len(bytes(display)) >= 88:
        *numbers, has_primaries, has_luminance = struct.unpack("=22i", bytes(display)[:88])
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        values = [numerator / denominator if denominator else 0.0 for numerator, denominator in pairs]
        if has_primaries and has_luminance:
            red, green, blue, white = (tuple(round(one * 50000) for one in values[i : i + 2]) for i in (0, 2, 4, 6))
            named = {"G": green, "B": blue, "R": red, "WP": white}
            points = "".join(f"{name}({x},{y})" for name, (x, y) in named.items())
            parts.append(f"master-display={points}L({round(values[9] * 10000)},{round(values[8] * 10000)})")
    if light and len(bytes(light)) >= 8:
        parts.append("max-cll={},{}".format(*struct.unpack("=2I", bytes(light)[:8])))
    return ":".join(parts)


def image_of(frame: VideoFrame, colors: Colors, size: tuple[int, int]) -> Image:
    """A decoded frame as an image (height, width, 3) of ``size`` (width, height), uint8 or uint16, as it is coded."""
    matrix, value_range = colors.for_height(size[1])
    converted = frame.reformat(
        width=size[0],
        height=size[1],
        format="rgb48le" if depth_of(frame.format) > 8 else "rgb24",
        src_colorspace=matrix,
        src_color_range=ColorRange.JPEG if frame.format.is_rgb or frame.format.has_palette else value_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=EXACT,
    )
    pixels: Array = converted.to_ndarray()
    return np.ascontiguousarray(pixels)


def frame_of(image: Image, colors: Colors, pixel_format: str) -> VideoFrame:
    """An image as a frame in ``pixel_format``; odd sizes grow by one pixel, which repeats the edge."""
    pixels: Array = image
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        pixels = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    matrix, value_range = colors.for_height(height)
    deep = image.dtype == np.uint16
    source = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb48le" if deep else "rgb24")
    return source.reformat(
        format=pixel_format,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=matrix,
        dst_color_range=value_range,
        interpolation=EXACT,
    )


def replace_changed(frame: VideoFrame, before: Image, after: Image, colors: Colors, pixel_format: str) -> VideoFrame:
    """Replace the pixels of a decoded frame that differ between two images of it; all others stay as they were.

    ``before`` is what ``image_of`` returned for it, ``after`` the same, changed here and there; or of another size.
    The frame may have been of another size itself: all have that of the first one.
    """
    frame = _without_detour(frame, pixel_format)
    resized = before.shape[:2] != (frame.height, frame.width)
    if resized or before.shape != after.shape or not same_layout(frame, pixel_format):
        return frame_of(after, colors, pixel_format)
    changed = (before != after).any(axis=2)
    if not changed.any():
        return frame
    result = frame_of(after, colors, pixel_format)
    for old, new in zip(frame.planes, result.planes, strict=True):
        _keep(old, new, changed, 2 if depth_of(frame.format) > 8 else 1)
    return result


def _without_detour(frame: VideoFrame, pixel_format: str) -> VideoFrame:
    """A frame whose samples differ from ``pixel_format`` in nothing but their order, or by an alpha channel, in it."""
    own, wanted = frame.format, VideoFormat(pixel_format)
    same = not own.is_rgb and (chroma_of(own), depth_of(own)) == (chroma_of(wanted), depth_of(wanted))
    return frame.reformat(format=pixel_format) if same and not same_layout(frame, pixel_format) else frame


def _keep(old: VideoPlane, new: VideoPlane, changed: NDArray[np.bool_], size: int) -> None:
    """Copy a plane's samples from ``old`` to ``new`` wherever none of the pixels they belong to changed."""
    rows, columns = len(changed) // new.height, changed.shape[1] // new.width
    touched = changed.reshape(new.height, rows, new.width, columns).any(axis=(1, 3))
    kept = _samples(old, size)[:, : old.width]
    samples = _samples(new, size).copy()
    np.copyto(samples[:, : new.width], kept, where=~touched)
    new.update(samples.tobytes())


def _samples(plane: VideoPlane, size: int) -> Array:
    """(height, line) uint8 or uint16 view of a plane; a line may be longer than the plane is wide."""
    flat = np.frombuffer(memoryview(plane), np.uint16 if size == 2 else np.uint8)
    return flat[: plane.height * (plane.line_size // size)].reshape(plane.height, -1)


def same_layout(frame: VideoFrame, pixel_format: str) -> bool:
    """Whether a frame can be encoded in ``pixel_format`` as it is: the same planes, and an even size."""
    named = frame.format.name.replace("yuvj", "yuv")
    return named == pixel_format and not frame.width % 2 and not frame.height % 2


def depth_of(pixels: VideoFormat) -> int:
    """Bits a channel."""
    return max(component.bits for component in pixels.components)


def has_alpha(pixels: VideoFormat) -> bool:
    """Whether pixels can be transparent."""
    return any(component.is_alpha for component in pixels.components)


def chroma_of(pixels: VideoFormat) -> tuple[int, int]:
    """Columns and rows of chroma of 8 x 8 pixels: (4, 4) for 4:2:0, (8, 8) for 4:4:4 and RGB, (0, 0) for gray."""
    if pixels.has_palette:
        return 8, 8
    if sum(not component.is_alpha for component in pixels.components) < 3:
        return 0, 0
    return pixels.chroma_width(8), pixels.chroma_height(8)
