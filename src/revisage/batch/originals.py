"""Which files are originals, and so must never be replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from revisage.jobs.sources import Source, Sources

Identity: TypeAlias = tuple[int, int]
"""Device and number of a file or folder: the same whatever its name, its case, and the links to it."""


class Originals:
    """The photos that a run reads, told from its results by where they lie.

    Nothing is remembered of photos in folders: all that lies below a folder that is searched, but not in the folder of
    the results, counts as an original. Files that were named are known by their identity.
    """

    def __init__(self, sources: Sources | Iterable[Source], output: Path) -> None:
        named = sources.named if isinstance(sources, Sources) else [source.path for source in sources]
        self._files = {_identity(path) for path in named if not path.is_dir()} - {None}
        self._folders = {_identity(path) for path in named if path.is_dir()} - {None}
        self._results = _identity(output)
        self._is_searched = lru_cache(1000)(self._look)

    def would_lose(self, target: Path, source: Path) -> bool:
        """Whether writing ``target`` would replace an original, be it the source itself, or a link to one."""
        identity = _identity(target)
        if identity is None:
            return False
        if identity == _identity(source) or identity in self._files:
            return True
        folders = {os.path.realpath(target.parent), os.path.dirname(os.path.realpath(target))}  # noqa: PTH120
        return any(map(self._is_searched, folders))

    def _look(self, folder: str) -> bool:
        """Whether the photos in a folder are originals: the nearest folder above that is one or the other decides."""
        for above in (Path(folder), *Path(folder).parents):
            identity = _identity(above)
            if identity in self._folders:
                return True
            if identity == self._results:
                return False
        return False


def _identity(path: Path) -> Identity | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
