"""The identity of a run: its settings and their files. Only settings that leave the weights alone may change later."""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from revisage.files import safe_open
from revisage.training.config import to_json, weights_file

MAY_CHANGE = {
    *("name", "training.images", "training.accumulate", "training.workers", "training.compile", "training.weights"),
    *("training.validate_every", "training.save_every", "training.best", "training.tensorboard"),
    *("task.validation", "task.validation_scenes", "task.metrics", "task.limit", "task.samples", "task.fid"),
}
"""Settings that may change between two parts of a run."""
INITIAL = {
    *("task.initial_weights", "task.vqgan_weights"),
    *(f"task.network.{name}_weights" for name in ("decoder", "coarse", "fine")),
}
"""Files that are read before the first step only."""
_JUDGES = ("task.metrics", "task.limit", "task.fid", "task.validation_scenes")
"""Settings that values of metrics depend on, of all validation sets."""
_ENDS = 1 << 16
"""Bytes at each end of a file that tell it from another of the same size."""


def identify(recipe: BaseModel) -> dict[str, Any]:
    """Settings of a recipe, and what lies at the paths that its task names: setting -> fingerprints."""
    files: dict[str, list[str]] = {}
    for name, place in _named_places(cast(Any, recipe).task, "task"):
        files.setdefault(name, []).append(fingerprint(weights_file(place)) if isinstance(place, Path) else place)
    return {"recipe": to_json(recipe), "files": files}


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Compare two identities; a path may change where the same files lie at the new one.

    Returns settings that must not differ and do, with both values; settings whose paths are equal, but not the files.
    """
    differences, changed = _changes(old, new)
    lines = [f"{name} was {before!r}, is {after!r}" for name, before, after in differences if not _may_change(name)]
    return lines, sorted(changed)


def is_judged_alike(old: Mapping[str, Any], new: Mapping[str, Any], directions: Mapping[str, str]) -> bool:
    """Whether the best value under one identity is to be compared with values under another.

    It is if ``training.best`` is one metric in one direction, taken of the same images with the same networks;
    ``directions`` are those of metrics where the setting has none.
    """
    best = [one["recipe"]["training"]["best"] for one in (old, new)]
    if None in best or best[0]["metric"] != best[1]["metric"]:
        return False
    metric = best[1]["metric"]
    if len({one["better"] or directions[metric] for one in best}) > 1:
        return False
    differences, changed = _changes(old, new)
    # What was given only before or only after is of another metric: this one was taken both times.
    changed |= {name for name, before, after in differences if before is not None and after is not None}
    return not any(_is_part(name, {*_JUDGES, f"task.validation.{metric.partition('/')[0]}"}) for name in changed)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[tuple[str, Any, Any]], set[str]]:
    """Settings that differ, with both values, without moved paths; those whose paths are equal, but not the files."""
    before, after = old["files"], new["files"]
    differences = list(_differences(old["recipe"], new["recipe"]))
    known = {name for name in before.keys() & after.keys() if "" not in before[name]}
    moved = {name for name in before.keys() & after.keys() if name in INITIAL}
    moved |= {name for name in known if before[name] == after[name]}
    changed = known - moved - {name for name, *_ in differences}
    return [difference for difference in differences if difference[0] not in moved], changed


def named_paths(settings: object, name: str) -> Iterator[tuple[str, Path]]:
    """Every file, folder and pattern that settings name, each with the name of its setting; no URLs."""
    for setting, place in _named_places(settings, name):
        if isinstance(place, Path):
            yield setting, place


def _named_places(settings: object, name: str) -> Iterator[tuple[str, Path | str]]:
    """The same with URLs, as text."""
    match settings:
        case Path():
            yield name, settings
        case Mapping() | BaseModel():
            for key, value in cast(Any, settings.items() if isinstance(settings, Mapping) else settings):
                if key in ("source", "gt", "lq") and isinstance(value, str | tuple):
                    places = (value,) if isinstance(value, str) else cast(tuple[str, ...], value)
                    yield from ((f"{name}.{key}", one if "://" in one else Path(one)) for one in places)
                else:
                    yield from _named_places(value, f"{name}.{key}")
        case tuple():
            for value in cast(tuple[Any, ...], settings):
                yield from _named_places(value, name)
        case _:
            return


def fingerprint(path: Path) -> str:
    """A few digits that another file has no reason to share: size and ends.

    Of a folder or pattern: names and sizes below it, or below the part that comes before its first wildcard. "" if
    there is nothing: that is equal to nothing.
    """
    if path.is_dir():
        return f"folder-{_digest(_files_below(path), path):08x}"
    if not os.path.lexists(path) and (found := sorted(glob.glob(str(path), recursive=True))):  # noqa: PTH207
        start = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
        return f"pattern-{_digest((file for one in found for file in _files_below(Path(one))), start):08x}"
    try:
        with safe_open(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest = zlib.crc32(file.read(_ENDS))
            file.seek(max(size - _ENDS, 0))
            return f"{size}-{zlib.crc32(file.read(_ENDS), digest):08x}"
    except OSError:
        return ""


def _files_below(path: Path) -> Iterator[Path]:
    """The files in a folder and below it, in one order, without hidden ones; a file itself."""
    if not path.is_dir():
        yield path
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, file) for file in sorted(files) if not file.startswith("."))


def _digest(files: Iterable[Path], start: Path) -> int:
    """Checksum of the sizes of files and of their names below ``start``."""
    digest = 0
    for file in files:
        line = f"{file.relative_to(start).as_posix()} {file.stat().st_size}\n" if file.exists() else ""
        digest = zlib.crc32(line.encode(errors="surrogateescape"), digest)
    return digest


def _may_change(name: str) -> bool:
    return _is_part(name, MAY_CHANGE)


def _is_part(name: str, settings: Iterable[str]) -> bool:
    """Whether a setting is one of these, or of a group among them."""
    return any(f"{name}.".startswith(f"{setting}.") for setting in settings)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(old.keys() | new.keys()):
        name, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(cast(Any, before), cast(Any, after), f"{name}.")
        elif _are_alike(before, after):
            for one, other in zip(cast(Any, before), cast(Any, after), strict=True):
                yield from _differences(one, other, f"{name}.")
        elif before != after:
            yield name, before, after


def _are_alike(before: object, after: object) -> bool:
    """Whether two values are equally long lists of mappings; the names of their settings have no index."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return False
    pairs = [cast(list[Any], before), cast(list[Any], after)]
    return len(pairs[0]) == len(pairs[1]) and all(isinstance(one, dict) for values in pairs for one in values)
