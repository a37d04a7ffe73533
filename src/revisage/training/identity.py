"""The identity of a run: its settings and their files. Only settings that leave the weights alone may change later."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
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
_ENDS = 1 << 16
"""Bytes at each end of a file that tell it from another of the same size."""


def identify(recipe: BaseModel) -> dict[str, Any]:
    """Settings of a recipe, and what lies at the paths that its task names: setting -> fingerprints."""
    files: dict[str, list[str]] = {}
    for name, path in named_paths(cast(Any, recipe).task, "task"):
        if not _may_change(name):
            files.setdefault(name, []).append(fingerprint(weights_file(path)))
    return {"recipe": to_json(recipe), "files": files}


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Compare two identities; a path may change where the same files lie at the new one.

    Returns settings that must not differ and do, with both values; settings whose paths are equal, but not the files.
    """
    before, after = old["files"], new["files"]
    differences = list(_differences(old["recipe"], new["recipe"]))
    moved = {name for name in before.keys() & after.keys() if name in INITIAL or before[name] == after[name]}
    changed = before.keys() & after.keys() - moved - {name for name, _ in differences}
    return [line for name, line in differences if name not in moved], sorted(changed)


def named_paths(settings: object, name: str) -> Iterator[tuple[str, Path]]:
    """Every file and folder that settings name, each with the name of its setting; no URLs."""
    match settings:
        case Path():
            yield name, settings
        case Mapping() | BaseModel():
            for key, value in cast(Any, settings.items() if isinstance(settings, Mapping) else settings):
                if key in ("source", "gt", "lq") and isinstance(value, str | tuple):
                    names = (value,) if isinstance(value, str) else cast(tuple[str, ...], value)
                    value = tuple(Path(one) for one in names if "://" not in one)
                yield from named_paths(value, f"{name}.{key}")
        case tuple():
            for value in cast(tuple[Any, ...], settings):
                yield from named_paths(value, name)
        case _:
            return


def fingerprint(path: Path) -> str:
    """A few digits that another file has no reason to share: size and ends; of a folder, names and sizes below it."""
    if not path.is_dir():
        try:
            with safe_open(path) as file:
                size = os.fstat(file.fileno()).st_size
                digest = zlib.crc32(file.read(_ENDS))
                file.seek(max(size - _ENDS, 0))
                return f"{size}-{zlib.crc32(file.read(_ENDS), digest):08x}"
        except OSError:
            return ""
    digest = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for entry in (Path(folder, file) for file in sorted(files) if not file.startswith(".")):
            line = f"{entry.relative_to(path).as_posix()} {entry.stat().st_size}\n" if entry.exists() else ""
            digest = zlib.crc32(line.encode(errors="surrogateescape"), digest)
    return f"folder-{digest:08x}"


def _may_change(name: str) -> bool:
    return any(f"{name}.".startswith(f"{free}.") for free in MAY_CHANGE)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key in sorted(old.keys() | new.keys()):
        name, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(cast(Any, before), cast(Any, after), f"{name}.")
        elif before != after and not _may_change(name):
            yield name, f"{name} was {before!r}, is {after!r}"
