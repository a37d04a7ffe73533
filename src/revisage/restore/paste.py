"""Putting restored faces back.

What is pasted is the correction, restored - crop, not the crop: where the network changed nothing the image stays as
it was to the last bit, and grain and detail finer than the crop survive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.geometry import (
    Affine,
    Box,
    compose,
    footprint,
    intersection,
    invert,
    magnification,
    resizing,
    shift,
    smoothstep,
)
from revisage.images.pixels import from_float, to_float
from revisage.restore.color_match import correction, squared_distance
from revisage.types import AlignedFace, Array, FloatImage, Image

Item = TypeVar("Item")
Made = TypeVar("Made")
MASK_POWER, MASK_FULL = 4.0, 0.8
"""Shape of the mask where only landmarks are known: a superellipse of this exponent that fills the crop and is 1 within
this share of it. The alignment puts heads there; the corners, which show what is beside them, are left alone."""
DETAIL_FULL, DETAIL_END = 0.55, 0.9
"""Share of the crop within which the detail of a correction is taken whole, and beyond which none of it is."""
COARSE_SIZE = 32
"""Side of the reduced crop that holds what is no detail."""
CONTEST = 8.0
"""How sharply overlapping faces are told apart: the power of the distance, squared, with which a claim falls."""
CONTEST_CORE = 0.1
"""Squared distance, in ovals, below which it no longer counts which face is nearer."""
TILE = 512
"""Side of the squares that are blended at a time, which bounds the memory in use."""
MAX_THREADS = 4
"""Threads that work on an image at the same time; bounds the memory of their tiles."""
AREA_BELOW = 0.75
"""Magnification below which a correction is reduced by area averages; above, interpolation hardly aliases."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A masked correction and where it goes.

    Attributes:
        values: (n, n, 4) float32, mask * correction in R, G, B, and the mask.
        layer_from_output: (2, 3).
        box: the part of the output that it may change.
    """

    values: NDArray[np.float32]
    layer_from_output: Affine
    box: Box


def crop_mask(size: int) -> FloatImage:
    """How much of the correction is taken: (size, size) float32, 1 within, falling smoothly to 0 at the border.

    The result is shared and read only.
    """
    return _superellipse(size, MASK_FULL, 1)


@cache
def _superellipse(size: int, full: float, end: float) -> FloatImage:
    """(size, size): 1 within the share ``full`` of a square, falling smoothly to 0 at ``end``; shared and read only."""
    across = np.abs(np.linspace(-1, 1, size, dtype=np.float32)) ** np.float32(MASK_POWER)
    radius = (across[:, None] + across[None]) ** np.float32(1 / MASK_POWER)
    mask = smoothstep(radius, end, full)
    mask.setflags(write=False)
    return mask


def fade_detail(added: FloatImage) -> FloatImage:
    """Let the detail of a correction (S, S, 3) end before its mask does, so that heads do not stand out.

    A restored face is sharper than what is beside it. Fine octaves fade out around the face, coarse ones further out,
    as in the multiresolution splines of Burt and Adelson (1983). Where nothing is corrected nothing is added.
    """
    size = len(added)
    coarse = cv2.resize(added, (COARSE_SIZE, COARSE_SIZE), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    faded: FloatImage = added - coarse
    faded *= _superellipse(size, DETAIL_FULL, DETAIL_END)[..., None]
    faded += coarse
    faded *= added != 0
    return faded


def paste(
    background: Image,
    faces: Sequence[tuple[AlignedFace, FloatImage]],
    scale: float,
    masks: Sequence[FloatImage] | None = None,
) -> Image:
    """Add the corrections of restored faces to a image.

    Each correction is made to fit the photo's colours first, see ``match.correction``. Where faces overlap, each
    prevails around its own center, see ``_claim``; the order in which they come does not matter.

    Args:
        background: (H * scale, W * scale, 3) of any allowed dtype, the image that the faces come from, enlarged with
            pixel centers at x' = scale * x + (scale - 1) / 2.
        faces: each with its restored crop, (S, S, 3) in [0, 1].
        scale: enlargement of the background.
        masks: (S, S) in [0, 1] for each face; None takes ``crop_mask`` for all.

    Returns:
        A new image of the background's shape and dtype.

    Raises:
        ValueError: a restored crop or a mask is not as large as its crop, or the masks are not as many as the faces.
    """
    if masks is None:
        masks = [crop_mask(len(face.crop)) for face, _ in faces]
    pairs = list(zip(faces, masks, strict=True))
    layers = in_threads(lambda pair: make_layer(*pair[0], pair[1], scale, background.shape), pairs)
    return paste_layers(background.copy(), layers)


def paste_layers(image: Image, layers: Sequence[Layer]) -> Image:
    """Add layers to an image, in place: of a large photo a copy would take as much memory as all the rest."""
    in_threads(lambda tile: _blend(image, tile, layers), list(_tiles([layer.box for layer in layers])))
    return image


def in_threads(call: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """``call`` of each item, in order, in as many threads as OpenCV may use: numpy and OpenCV share the processor."""
    threads = min(len(items), cv2.getNumThreads(), MAX_THREADS)
    if threads < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, items))


def make_layer(
    face: AlignedFace, restored: FloatImage, mask: FloatImage, scale: float, shape: tuple[int, ...]
) -> Layer:
    """The correction of a face, ready for an image of a shape; see :func:`paste`."""
    size = len(face.crop)
    if restored.shape != face.crop.shape or mask.shape != (size, size):
        raise ValueError(f"crop {face.crop.shape}, restored {restored.shape} and mask {mask.shape} differ in size")
    output_from_layer = compose(resizing(scale, scale), invert(face.crop_from_image))
    added = fade_detail(correction(face.crop, restored, mask, output_from_layer, shape))
    values: Array = np.empty((size, size, 4), np.float32)
    np.multiply(added, mask[..., None], out=values[..., :3])
    values[..., 3] = mask
    factor = magnification(output_from_layer)
    if factor < AREA_BELOW:
        reduced = math.ceil(size * factor)
        values = cv2.resize(values, (reduced, reduced), interpolation=cv2.INTER_AREA)
        output_from_layer = compose(output_from_layer, resizing(size / reduced, size / reduced))
    margin = math.ceil(2 * max(factor, 1))  # the reach of cubic interpolation
    box = footprint(output_from_layer, len(values), shape, margin)
    return Layer(values, invert(output_from_layer), box)


def _tiles(boxes: Sequence[Box]) -> Iterator[Box]:
    """The squares of a fixed grid that the boxes touch, each once."""
    touched = {
        cell
        for left, top, right, bottom in boxes
        if left < right and top < bottom
        for cell in product(range(left // TILE, -(-right // TILE)), range(top // TILE, -(-bottom // TILE)))
    }
    for x, y in sorted(touched):
        yield x * TILE, y * TILE, (x + 1) * TILE, (y + 1) * TILE


def _blend(image: Image, tile: Box, layers: Sequence[Layer]) -> None:
    """Write into ``image`` what the layers make of it within ``tile``."""
    parts = [(layer, part) for layer in layers if (part := intersection(layer.box, tile))]
    left, top = (min(part[i] for _, part in parts) for i in (0, 1))
    right, bottom = (max(part[i] for _, part in parts) for i in (2, 3))
    added = _together(parts, (left, top, right, bottom)) if len(parts) > 1 else _warp(*parts[0])[..., :3]
    part = image[top:bottom, left:right]
    after = from_float(np.add(to_float(part), added, dtype=np.float32), image.dtype)
    np.copyto(part, after, where=added != 0)


def _together(parts: Sequence[tuple[Layer, Box]], whole: Box) -> NDArray[np.float32]:
    """The sum of several layers over a part of the output: (height, width, 3), their mean weighted by their claims."""
    left, top, right, bottom = whole
    total = np.zeros((bottom - top, right - left, 4), np.float32)
    for layer, part in parts:
        warped = _warp(layer, part)
        claim = _claim(layer, part) * np.maximum(warped[..., 3], 0)
        target = total[part[1] - top : part[3] - top, part[0] - left : part[2] - left]
        target[..., :3] += claim[..., None] * warped[..., :3]
        target[..., 3] += claim
    return np.asarray(total[..., :3] / np.maximum(total[..., 3:], np.float32(1e-30)), np.float32)


def _claim(layer: Layer, part: Box) -> NDArray[np.float32]:
    """How much a face has to say about the pixels of a part of the output: (height, width), before its mask counts.

    Inverse-distance weights (Shepard 1968), with distances from the center of the face in units of its oval. Of two
    faces side by side each keeps its features, the large one claims more than the small one, and there is no step.
    """
    left, top, right, bottom = part
    xy = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1)
    points = xy @ layer.layer_from_output[:, :2].T + layer.layer_from_output[:, 2]
    squares = squared_distance(points, len(layer.values))
    return ((squares + CONTEST_CORE) ** -CONTEST / magnification(layer.layer_from_output) ** 2).astype(np.float32)


def _warp(layer: Layer, part: Box) -> NDArray[np.float32]:
    """A layer on the pixels of a part of the output: (height, width, 4).

    Cubic, because linear interpolation would take from the correction the very detail that restoration added.
    """
    left, top, right, bottom = part
    warped: Array = cv2.warpAffine(
        layer.values,
        compose(layer.layer_from_output, shift(left, top)),
        (right - left, bottom - top),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return warped
