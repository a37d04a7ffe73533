"""Which photos files, folders and patterns stand for. Folders are listed one at a time, as the run comes to them."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from revisage.errors import InputError
from revisage.images import has_image_extension


@dataclass(frozen=True, slots=True)
class Source:
    """A photo to restore.

    Attributes:
        path: the file.
        below: the folder it lies in, relative to the folder that was asked for; the results keep it.
        fault: why there is nothing to read here (a folder that cannot be listed), else "".
    """

    path: Path
    below: Path = Path()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Photos, found anew by each iteration; in memory are only what was named and one folder's names at a time.

    Attributes:
        named: files and folders that were named, or matched by a pattern, in their order.
        leave_out: real path of a folder that is not searched unless it was named, or "".
        many: a folder or a pattern was named, not only files.
    """

    named: tuple[Path, ...]
    leave_out: str
    many: bool

    def __iter__(self) -> Iterator[Source]:
        """The photos in the order of what was named, each once, sorted within a folder, files before folders."""
        folders = [(path, os.path.realpath(path)) for path in self.named if path.is_dir()]
        searched: list[str] = []
        entered = {self.leave_out} - {real for _, real in folders}
        single: set[str] = set()

        def is_new(path: str, is_link: bool) -> bool:
            """Whether a file in a folder is not found elsewhere as well; ``path`` is real but for the file itself."""
            if not is_link:
                return path not in single
            real = os.path.realpath(path)
            return real not in single and not (Path(real).exists() and self._covers([r for _, r in folders], real))

        for path in self.named:
            real = os.path.realpath(path)
            if path.is_dir():
                searched.append(real)
                yield from _walk(path, Path(), entered, is_new)
            elif real not in single and not self._covers(searched, real):
                single.add(real)
                yield Source(path)

    def _covers(self, folders: Sequence[str], real: str) -> bool:
        """Whether a search of one of these folders comes across a file by itself; all are real paths."""
        for folder in folders:
            below = _below(real, folder)
            if not below or any(part.startswith(".") for part in Path(below).parts):
                continue
            left_out = self.leave_out and _below(real, self.leave_out) and not _is_in(folder, self.leave_out)
            if has_image_extension(Path(real)) and not left_out:
                return True
        return False


def collect(paths: Sequence[str | Path], *, leave_out: Path | None = None) -> Sources:
    """Find the photos that files, folders and patterns stand for, each once.

    Files are taken whatever their name. In folders, which are searched to any depth, and in patterns only names of
    pictures count, and hidden entries do not. Links to folders are followed, but no folder is entered twice; a link to
    a photo that is found by itself is left out.

    Args:
        paths: files, folders, or patterns with ``*``, ``?``, ``[...]``, ``**``.
        leave_out: a folder that is not searched if it lies below one that is: where the results go.

    Returns:
        Sources in the order of ``paths``, sorted within each; they may be iterated over more than once. A folder that
        cannot be listed is a source with a fault.

    Raises:
        InputError: a path does not exist, a pattern matches nothing, or there is no picture at all.
    """
    named: list[Path] = []
    for path in paths:
        named += _matches(path)
    many = any(path.is_dir() for path in named) or not all(os.path.lexists(path) for path in paths)
    sources = Sources(tuple(named), os.path.realpath(leave_out) if leave_out is not None else "", many)
    if next(iter(sources), None) is None:
        raise InputError(f"no pictures in {', '.join(map(str, paths)) or 'nothing'}")
    return sources


def _matches(path: str | Path) -> list[Path]:
    """The files and folders that a path or pattern stands for; patterns match only pictures and folders."""
    if os.path.lexists(path):
        return [Path(path)]
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        what = "nothing matches" if glob.has_magic(str(path)) else "no such file or folder:"
        raise InputError(f"{what} {path}")
    return [match for match in map(Path, found) if match.is_dir() or has_image_extension(match)]


def _walk(folder: Path, below: Path, entered: set[str], is_new: Callable[[str, bool], bool]) -> Iterator[Source]:
    """Pictures in ``folder`` and below it, files before folders; ``entered`` holds the folders already seen."""
    real = os.path.realpath(folder)
    if real in entered:
        return
    entered.add(real)
    try:
        files, folders = _listed(folder, lambda name, is_link: is_new(f"{real}{os.sep}{name}", is_link))
    except OSError as error:
        yield Source(folder, below, f"cannot read {folder}: {error.strerror or error}")
        return
    yield from (Source(folder / name, below) for name in files)
    for name in folders:
        yield from _walk(folder / name, below / name, entered, is_new)


def _listed(folder: Path, is_new: Callable[[str, bool], bool]) -> tuple[list[str], list[str]]:
    """Sorted names of the new pictures and of the folders in a folder, without hidden ones."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif has_image_extension(Path(entry.name)) and is_new(entry.name, entry.is_symlink()):
                files.append(entry.name)
    return sorted(files), sorted(folders)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or bool(_below(path, folder))


def _below(path: str, folder: str) -> str:
    """A path relative to a folder that it lies below, else ""; both real."""
    start = folder if folder.endswith(os.sep) else folder + os.sep
    return path[len(start) :] if path.startswith(start) else ""
