"""Degraded, restored and original images that belong together: found by file name, read at one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from revisage.errors import InputError
from revisage.evaluation.metrics.image import RGB8
from revisage.images import read_image
from revisage.images.pixels import from_float, to_float
from revisage.jobs.collector import collect
from revisage.types import Array, Image

Folder: TypeAlias = Mapping[str, Path]
"""Path below the folder, without extension -> image file."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of an original and of the images that are compared with it.

    Attributes:
        set: name of the degradation that it belongs to.
        name: of the face: path of the original below its folder, without extension.
        lq: the degraded image, None if only a restoration is evaluated.
        restored: the restoration, None if it is still to be made.
    """

    set: str
    name: str
    gt: Path
    lq: Path | None = None
    restored: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A pair, read.

    Attributes:
        gt: (H, W, 3) uint8, resized if asked for.
        gt_size: (height, width) of the original in its file.
        lq: the degraded image in its own size and dtype, or None.
        restored: (H, W, 3) uint8, or None.
    """

    pair: Pair
    gt: RGB8
    gt_size: tuple[int, int]
    lq: Image | None
    restored: RGB8 | None


def find_pairs(gt: Path, lq: Path | None, restored: Path | None = None, limit: int | None = None) -> list[Pair]:
    """Pair images of one name; a restoration may be ``STEM_00``, as tools call the first face of a photo.

    Args:
        gt: folder of originals.
        lq: folder of degraded images, or of such folders, one a set. A single set has :func:`data_name`.
        restored: folder of restorations by another tool, laid out as ``lq``.
        limit: number of images of each set, spread evenly over the sorted names; None for all.

    Returns:
        Set by set, sorted by name.

    Raises:
        InputError: neither ``lq`` nor ``restored`` is given, a folder is missing or empty, an image has no partner
            (which is named) or two of them.
    """
    if lq is None and restored is None:
        raise InputError(f"nothing to compare {gt} with: neither degraded nor restored images")
    originals = list_images(gt)
    degraded = None if lq is None else _sets(lq, originals)
    results = None if restored is None else _sets(restored, originals)
    if degraded is not None and results is not None:
        if len(degraded) == len(results) == 1:  # one set needs no name
            results = dict(zip(degraded, results.values(), strict=True))
        for name in sorted(degraded.keys() ^ results.keys()):
            raise InputError(f"the set {name} is only in one of {lq} and {restored}")
    chosen = sorted(originals)
    if limit:
        chosen = chosen[:: max(len(chosen) // limit, 1)][:limit]
    return [
        Pair(
            name,
            stem,
            originals[stem],
            lq=None if degraded is None else degraded[name][stem],
            restored=None if results is None else results[name][stem],
        )
        for name in degraded or results or ()
        for stem in chosen
    ]


def data_name(folder: Path) -> str:
    """Name of a folder of pairs: its own, or that of the folder around ``gt`` and ``lq``."""
    folder = folder.resolve()
    return folder.parent.name if folder.name in ("gt", "lq") and folder.parent.name else folder.name


def list_images(folder: Path) -> Folder:
    """The images in a folder, or below it if there are none: by their paths without extension, sorted.

    They are found by the rules for photos (:func:`revisage.jobs.collector.collect`). InputError: there is no such
    folder, no image in it, two of one name, or a folder that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"no folder of images at {folder}")
    sources = list(collect([folder]))
    if fault := next((source.fault for source in sources if source.fault), ""):
        raise InputError(fault)
    found: dict[str, Path] = {}
    for source in [source for source in sources if source.below == Path()] or sources:
        name = (source.below / source.path.stem).as_posix()
        if name in found:
            raise InputError(f"{found[name]} and {source.path.name} have the same stem; remove or rename one of them")
        found[name] = source.path
    return found


def _sets(folder: Path, originals: Folder) -> dict[str, Folder]:
    """Name of the set -> partners of all originals: in the folder itself, or in each of its folders."""
    images = list_images(folder)
    if any("/" not in name for name in images) or any("/" in name for name in originals):
        return {data_name(folder): _partners(folder, images, originals)}
    sets: dict[str, dict[str, Path]] = {}
    for name, path in images.items():
        first, _, rest = name.partition("/")
        sets.setdefault(first, {})[rest] = path
    return {name: _partners(folder / name, found, originals) for name, found in sets.items()}


def _partners(folder: Path, images: Folder, originals: Folder) -> Folder:
    found: dict[str, Path] = {}
    for stem, path in images.items():
        own = stem if stem in originals else stem.removesuffix("_00")
        if own not in originals:
            raise InputError(f"{path} has no original among {', '.join(list(originals)[:3])} ...")
        if own in found:
            raise InputError(f"{found[own]} and {path.name} both belong to the original {originals[own].name}")
        found[own] = path
    for stem, path in originals.items():
        if stem not in found:
            raise InputError(f"{path} has no partner in {folder}")
    return found


def read_sample(pair: Pair, size: int | None = None) -> Sample:
    """Read the images of a pair (ImageError); the longer side of the original gets ``size`` pixels, None leaves it."""
    gt = to_uint8(read_image(pair.gt))
    factor = size / max(gt.shape[:2]) if size else 1
    return Sample(
        pair,
        resize(gt, max(round(gt.shape[1] * factor), 1), max(round(gt.shape[0] * factor), 1)),
        (gt.shape[0], gt.shape[1]),
        None if pair.lq is None else read_image(pair.lq),
        None if pair.restored is None else to_uint8(read_image(pair.restored)),
    )


def to_uint8(image: Image) -> RGB8:
    """An image of any depth in uint8, rounded half to even."""
    return np.asarray(image if image.dtype == np.uint8 else from_float(to_float(image), np.uint8), np.uint8)


def resize(image: Image, width: int, height: int) -> RGB8:
    """Image of any depth -> (height, width, 3) uint8: bilinear if it grows, averaged over areas if it shrinks."""
    if image.shape[:2] == (height, width):
        return to_uint8(image)
    method = cv2.INTER_LINEAR if width >= image.shape[1] else cv2.INTER_AREA
    resized: Array = cv2.resize(to_float(image), (width, height), interpolation=method)
    return to_uint8(resized)
