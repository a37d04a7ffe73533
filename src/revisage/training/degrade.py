"""Aligned faces -> pairs of a degraded image and its original, to look at, to validate on, or for other tools."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from revisage.errors import InputError
from revisage.images import read_image, write_image
from revisage.images.pixels import from_float, to_float
from revisage.training.data.datasets import resize_crop
from revisage.training.data.degradations.blur import Blur, Downsample
from revisage.training.data.degradations.recipes import Steps
from revisage.training.data.degradations.steps import Degradation, Jpeg, Noise

Pixels = NDArray[np.uint8]
Pair = tuple[str, Pixels, Pixels]
"""Stem, lq, gt: (S, S, 3) uint8 RGB."""

CELL = 256
"""Size of an image on the grid."""
STRIP = 22
"""Height of the strip that a name is written in."""
COLUMNS = 8


def _fixed_level(sigma: float, factor: float, noise: float, quality: float) -> Degradation:
    """Degrade every image alike; only the grain of the noise differs."""
    steps = Blur((sigma, sigma), 1), Downsample((factor, factor)), Noise((noise, noise)), Jpeg((quality, quality))
    return Steps(steps, exact=True)


SEVERITIES: Mapping[str, Degradation] = {
    "default": Steps(gray=0.01, exact=True),
    "mild": _fixed_level(1.5, 2, 5, 80),
    "medium": _fixed_level(4, 4, 10, 70),
    "severe": _fixed_level(8, 8, 20, 60),
}
"""Name -> degradation of faces of 512 pixels: GFP-GAN's for training, and three fixed levels within its ranges."""


def degrade_files(
    degradation: Degradation, crops: Sequence[Path], output: Path, *, size: int, seed: int
) -> Iterator[Pair]:
    """Write ``output/lq/STEM.png`` and ``output/gt/STEM.png`` of side ``size`` for each crop; yield each pair.

    Pair i depends on its crop and on (seed, i), on nothing else.

    Raises:
        InputError: two crops have the same stem, before the first is written; or a crop is not square.
        ImageError: a crop cannot be read.
        OutputError: an image cannot be written.
    """
    stem, count = Counter(crop.stem.casefold() for crop in crops).most_common(1)[0]
    if count > 1:
        raise InputError(f"{count} crops are called {stem}: their pairs would have the same name")
    return (
        _write_pair(degradation, crop, output, size, np.random.default_rng((seed, index)))
        for index, crop in enumerate(crops)
    )


def _write_pair(degradation: Degradation, crop: Path, output: Path, size: int, rng: np.random.Generator) -> Pair:
    image = to_float(read_image(crop))
    if image.shape[0] != image.shape[1]:
        raise InputError(f"{crop} is not a square crop of a face")
    lq, gt = (np.asarray(from_float(one, np.uint8), np.uint8) for one in degradation(resize_crop(image, size), rng))
    for kind, pixels in (("lq", lq), ("gt", gt)):
        write_image(output / kind / f"{crop.stem}.png", pixels)
    return crop.stem, lq, gt


def image_grid(pairs: Sequence[Pair]) -> Pixels:
    """Pairs, at least one, side by side, lq above gt, each with its name: (H, W, 3) uint8 RGB."""
    columns = min(len(pairs), COLUMNS)
    high = 2 * CELL + STRIP
    grid = PIL.Image.new("RGB", (columns * CELL, math.ceil(len(pairs) / columns) * high), "white")
    draw = PIL.ImageDraw.Draw(grid)
    font = PIL.ImageFont.load_default(14)
    for index, (stem, lq, gt) in enumerate(pairs):
        top, left = index // columns * high, index % columns * CELL
        draw.text((left + 4, top + 2), f"{index}  {stem[:28]}", fill="black", font=font)
        for row, pixels in enumerate((lq, gt)):
            cell = cv2.resize(pixels, (CELL, CELL), interpolation=cv2.INTER_AREA)
            grid.paste(PIL.Image.fromarray(cell), (left, top + STRIP + row * CELL))
    return np.asarray(grid, np.uint8)
