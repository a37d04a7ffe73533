"""Find the images and videos that files, folders and patterns stand for.

Folders are listed one at a time, as the run comes to them.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from revisage.errors import InputError
from revisage.files import safe_open
from revisage.images import FORMATS

VIDEOS: Mapping[str, str] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv", ".webm"), ""),
    **dict.fromkeys((".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob"), ".mkv"),
}
"""Extension of a video in lower case -> that of its result, "" for the same. Matroska holds every kind of stream."""
AMBIGUOUS = (".ts", ".mts")
"""Also the extensions of TypeScript: in folders and patterns the content decides."""
_SIDECARS = (".thm", ".lrv", ".m4a", ".m4b", ".m4p", ".m4r", ".3ga", ".aax", ".mka", ".mks", ".weba", ".wma", ".sub")
"""Previews that cameras put beside their videos, sound and subtitles: their content looks like that of others."""


UNREADABLE = frozenset(
    (
        *(".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"),
        *(".jp2", ".j2k", ".jxl", ".jxr", ".psd", ".psb", ".xcf", ".tga", ".exr", ".ppm", ".pgm", ".pcx"),
        *(".mxf", ".rm", ".rmvb", ".dv", ".r3d", ".braw"),
    )
)
"""Extensions of images and videos that are not read: those found in folders are named."""


class Kind(StrEnum):
    """The kind that a file is restored as."""

    IMAGE = "image"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Source:
    """An input file.

    Attributes:
        path: the file.
        below: the folder it lies in, relative to the folder that was given; the results keep it.
        fault: why nothing can be read here (a folder that cannot be listed), else "".
        kind: image or video.
    """

    path: Path
    below: Path = Path()
    fault: str = ""
    kind: Kind = Kind.IMAGE


@dataclass(frozen=True, slots=True)
class Sources:
    """Input files, found anew by each iteration; in memory are only ``inputs`` and one folder's names at a time.

    Attributes:
        inputs: files and folders that were given, or matched by a pattern, in their order.
        leave_out: real path of a folder that is not searched unless it was given, or "".
        many: a folder or a pattern was given, not only files.
        kinds: what is looked for in folders and patterns.
    """

    inputs: tuple[Path, ...]
    leave_out: str
    many: bool
    kinds: tuple[Kind, ...]

    def __iter__(self) -> Iterator[Source]:
        """The files in the order of ``inputs``, each once, sorted within a folder, files before folders."""
        folders = [(path, os.path.realpath(path)) for path in self.inputs if path.is_dir()]
        searched: list[str] = []
        entered = {self.leave_out} - {real for _, real in folders}
        single: set[str] = set()

        def kind_of_new(path: str, is_link: bool) -> Kind | None:
            """Kind of a file in a folder that is not found elsewhere as well; ``path`` is real but for the file."""
            kind = self._wanted(Path(path))
            if kind is None or not is_link:
                return None if path in single else kind
            real = os.path.realpath(path)
            is_known = real in single or (Path(real).exists() and self._covers([r for _, r in folders], real))
            return None if is_known else kind

        for path in self.inputs:
            real = os.path.realpath(path)
            if path.is_dir():
                searched.append(real)
                yield from _walk(path, Path(), entered, kind_of_new)
            elif real not in single and not self._covers(searched, real):
                single.add(real)
                yield Source(path, kind=kind_by_name(path) or kind_by_content(path) or Kind.IMAGE)

    def _wanted(self, path: Path) -> Kind | None:
        return _searched_kind(path, self.kinds)

    def _covers(self, folders: Sequence[str], real: str) -> bool:
        """Whether a search of one of these folders finds a file by itself; all are real paths."""
        for folder in folders:
            below = _below(real, folder)
            if not below or any(part.startswith(".") for part in Path(below).parts):
                continue
            left_out = self.leave_out and _below(real, self.leave_out) and not _is_in(folder, self.leave_out)
            if self._wanted(Path(real)) and not left_out:
                return True
        return False


def collect(
    paths: str | Path | Iterable[str | Path], kinds: Sequence[Kind] = (Kind.IMAGE,), *, leave_out: Path | None = None
) -> Sources:
    """Find the files that paths, folders and patterns stand for, each once.

    A file that is given is taken whatever its name. Folders are searched to any depth; in them and in patterns, files
    count whose extension is that of an image or video, and files of an unknown extension, or none, whose content is.
    Hidden entries do not count. Links to folders are followed, but no folder is entered twice; a link to a file that is
    found by itself is left out.

    Args:
        paths: files, folders, or patterns with ``*``, ``?``, ``[...]``, ``**``.
        kinds: what to look for in folders and patterns.
        leave_out: a folder that is not searched if it lies below one that is: the folder of the results.

    Returns:
        Sources in the order of ``paths``, sorted within each; they can be iterated over more than once. A folder that
        cannot be listed is a source with a fault.

    Raises:
        InputError: a path does not exist, a pattern matches nothing, or no file is found at all.
    """
    given: Any = [paths] if isinstance(paths, str | os.PathLike) else paths
    paths = list(given) if isinstance(given, Iterable) else [given]  # pyright: ignore[reportUnknownArgumentType]
    if wrong := [path for path in paths if not isinstance(path, str | os.PathLike)]:
        raise InputError(f"paths are names of files and folders, or patterns, not {wrong[0]!r}")
    inputs: list[Path] = []
    for path in paths:
        inputs += _matches(path, kinds)
    many = any(path.is_dir() for path in inputs) or not all(os.path.lexists(path) for path in paths)
    real = os.path.realpath(leave_out) if leave_out is not None else ""
    sources = Sources(tuple(inputs), real, many, tuple(kinds))
    if next(iter(sources), None) is None:
        nouns = " or ".join(f"{kind}s" for kind in kinds)
        raise InputError(f"no {nouns} in {', '.join(map(str, paths)) or 'nothing'}")
    return sources


def count_unreadable(sources: Sources) -> Counter[str]:
    """Count the images and videos in the folders that are searched whose format is not read, by extension."""
    found: Counter[str] = Counter()

    def look(path: str, is_link: bool) -> None:  # noqa: ARG001
        extension = Path(path).suffix.lower()
        found.update({extension: 1} if extension in UNREADABLE else {})

    folders = [path for path in sources.inputs if path.is_dir()]
    entered = {sources.leave_out} - {os.path.realpath(path) for path in folders}
    for folder in folders:
        for _ in _walk(folder, Path(), entered, look):
            pass  # folders that cannot be listed: the search itself names them
    return found


def kind_by_name(path: Path) -> Kind | None:
    """Whether the extension is that of an image or of a video that can be read; None for any other."""
    extension = path.suffix.lower()
    return Kind.IMAGE if extension in FORMATS else Kind.VIDEO if extension in VIDEOS else None


def kind_by_content(path: Path) -> Kind | None:
    """Whether the first bytes of a file are those of an image or of a video; None for any other or no file."""
    try:
        with safe_open(path) as file:
            head = file.read(389)
    except OSError:
        return None
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    is_raw = path.suffix.lower() not in ("", *FORMATS)  # TIFF under a name of its own: the raw files of cameras
    is_image = (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8"))
        or (head.startswith((b"II*\0", b"MM\0*")) and not is_raw)
        or (head.startswith(b"BM") and head[6:10] == bytes(4))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or brand in (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
    )
    is_video = (
        (brand and brand not in (b"M4A ", b"M4B ", b"crx "))
        or head[4:8] in (b"moov", b"mdat", b"wide")
        or head.startswith((b"\x1aE\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\0\0\x01\xba"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or head[0:377:188] == b"GGG"  # MPEG-TS packets, plain
        or head[4:389:192] == b"GGG"  # and behind time codes (M2TS)
    )
    return Kind.IMAGE if is_image else Kind.VIDEO if is_video else None


def video_extension(path: Path) -> str:
    """The extension, with its dot, of the result of a video whose own says nothing: as its first bytes are."""
    try:
        with safe_open(path) as file:
            head = file.read(64)
    except OSError:  # will be said when it is read
        head = b""
    if head[4:8] == b"ftyp":
        return ".mov" if head[8:12] == b"qt  " else ".mp4"
    return ".webm" if b"webm" in head else ".mkv"


def _searched_kind(path: Path, kinds: Sequence[Kind]) -> Kind | None:
    """Kind of a file in a folder or matched by a pattern, None if it is not looked for."""
    kind, extension = kind_by_name(path), path.suffix.lower()
    if (kind is None and extension not in _SIDECARS) or (extension in AMBIGUOUS and Kind.VIDEO in kinds):
        kind = kind_by_content(path)
    return kind if kind in kinds else None


def _matches(path: str | Path, kinds: Sequence[Kind]) -> list[Path]:
    """The files and folders that a path or pattern stands for."""
    if os.path.lexists(path):
        return [Path(path)]
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        problem = "nothing matches" if glob.has_magic(str(path)) else "no such file or folder:"
        raise InputError(f"{problem} {path}")
    return [match for match in map(Path, found) if match.is_dir() or _searched_kind(match, kinds)]


def _walk(
    folder: Path, below: Path, entered: set[str], kind_of_new: Callable[[str, bool], Kind | None]
) -> Iterator[Source]:
    """Files in ``folder`` and below it, files before folders; ``entered`` holds the folders already seen."""
    real = os.path.realpath(folder)
    if real in entered:
        return
    entered.add(real)
    try:
        files, folders = _list(folder, lambda name, is_link: kind_of_new(f"{real}{os.sep}{name}", is_link))
    except OSError as error:
        yield Source(folder, below, f"cannot read {folder}: {error.strerror or error}")
        return
    yield from (Source(folder / name, below, kind=kind) for name, kind in files)
    for name in folders:
        yield from _walk(folder / name, below / name, entered, kind_of_new)


def _list(folder: Path, kind_of_new: Callable[[str, bool], Kind | None]) -> tuple[list[tuple[str, Kind]], list[str]]:
    """Sorted names of the new files, with their kinds, and of the folders in a folder, without hidden ones."""
    files: list[tuple[str, Kind]] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif kind := kind_of_new(entry.name, entry.is_symlink()):
                files.append((entry.name, kind))
    return sorted(files), sorted(folders)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or bool(_below(path, folder))


def _below(path: str, folder: str) -> str:
    """A path relative to a folder that it lies below, else ""; both real."""
    start = folder if folder.endswith(os.sep) else folder + os.sep
    return path[len(start) :] if path.startswith(start) else ""
