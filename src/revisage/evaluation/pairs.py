"""Which degraded, restored and original pictures belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from revisage.errors import InputError
from revisage.images import has_image_extension

Folder: TypeAlias = Mapping[str, Path]
"""Stem -> picture."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and what it is compared with.

    Attributes:
        set: name of the degradation that it belongs to.
        name: of the face: the stem of the original's file.
        gt: the original.
        lq: the degraded picture, None if only a restoration is judged.
        restored: the restoration, None if it is still to be made.
    """

    set: str
    name: str
    gt: Path
    lq: Path | None = None
    restored: Path | None = None


def find_pairs(gt: Path, lq: Path | None, restored: Path | None = None, limit: int | None = None) -> list[Pair]:
    """Pair pictures of equal stems; a restoration may be called ``STEM_00``, as tools call the first face of a photo.

    Args:
        gt: folder of originals.
        lq: folder of degraded pictures, or of such folders, one a set.
        restored: folder of restorations by another tool, laid out as ``lq``.
        limit: how many of each set, spread evenly over the sorted names; None for all.

    Returns:
        Set by set, sorted by name.

    Raises:
        InputError: neither ``lq`` nor ``restored`` is given, a folder is missing or empty, a picture has no partner
            (which is named) or two of them.
    """
    if lq is None and restored is None:
        raise InputError(f"nothing to compare {gt} with: neither degraded nor restored pictures")
    originals = pictures(gt)
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


def pictures(folder: Path) -> Folder:
    """The pictures of a folder by stem, sorted.

    Raises:
        InputError: there is no such folder, no picture in it, or two of one stem.
    """
    if not folder.is_dir():
        raise InputError(f"no folder of pictures at {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not has_image_extension(path) or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InputError(f"{found[path.stem]} and {path.name} have one name; which is meant?")
        found[path.stem] = path
    if not found:
        raise InputError(f"no pictures in {folder}")
    return found


def _sets(folder: Path, originals: Folder) -> dict[str, Folder]:
    """The partners of all originals: in the folder itself, or in each of its folders."""
    if not folder.is_dir():
        raise InputError(f"no folder of pictures at {folder}")
    below = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    here = any(has_image_extension(entry) for entry in folder.iterdir() if entry.is_file())
    chosen = below if below and not here else [folder]
    return {entry.resolve().name: _partners(entry, originals) for entry in chosen}


def _partners(folder: Path, originals: Folder) -> Folder:
    found: dict[str, Path] = {}
    for stem, path in pictures(folder).items():
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
