"""Many photos: what to restore, where the results go, and what became of each. Prints nothing."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from revisage.controls import Controls
from revisage.errors import InputError, OutputError, RevisageError
from revisage.files.formats import FORMATS, WRITABLE, has_picture_name
from revisage.files.images import read_image, write_image
from revisage.pipeline import Restorer
from revisage.types import FaceStatus, RestoredFace

FOLDERS = ("restored_imgs", "cropped_faces", "restored_faces", "cmp")
"""Layout of the results where faces are saved: that of the classic tool."""

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to restore, and how the results are called.

    Attributes:
        output: folder of the results.
        controls: how the faces are restored.
        suffix: results are called ``{stem}_{suffix}``; empty for ``{stem}``.
        format: extension of the results without the dot; None for that of the source (GIF and unknown ones give png).
        overwrite: replace results that exist already, else leave them and say so.
        save_faces: also write every face, in the folders of the classic tool.
    """

    output: Path
    controls: Controls = field(default_factory=Controls)
    suffix: str = ""
    format: str | None = None
    overwrite: bool = False
    save_faces: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A source and the names of its results.

    Attributes:
        source: what to restore.
        target: the restored photo.
        stem: what its faces are called, relative to the folders of faces: ``{stem}_00.png``.
    """

    source: Source
    target: Path
    stem: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo.

    Attributes:
        path: the source.
        target: the restored photo, None if none was written.
        found: how many faces were found.
        restored: how many of them were restored.
        skipped: for each of the others one line that says why.
        exists: the photo was left out because its result exists already.
        error: one line that names the file if something went wrong, else "". There may be a target all the same: one in
            which some face failed.
    """

    path: Path
    target: Path | None = None
    found: int = 0
    restored: int = 0
    skipped: tuple[str, ...] = ()
    exists: bool = False
    error: str = ""


def collect(paths: Sequence[str | Path], *, leave_out: Path | None = None) -> list[Source]:
    """Find the photos that files, folders and patterns stand for, each once.

    Files are taken whatever their name. In folders, which are searched to any depth, and in patterns only names of
    pictures count, and hidden entries do not. Links to folders are followed, but no folder is entered twice.

    Args:
        paths: files, folders, or patterns with ``*``, ``?``, ``[...]``, ``**``.
        leave_out: a folder that is not searched if it lies below one that is: where the results go.

    Returns:
        Sources in the order of ``paths``, sorted within each. A folder that cannot be listed is a source with a fault.

    Raises:
        InputError: a path does not exist, a pattern matches nothing, or there is no picture at all.
    """
    entered = {os.path.realpath(leave_out)} if leave_out is not None else set[str]()
    sources: list[Source] = []
    for path in paths:
        for match, explicit in _matches(path):
            if match.is_dir():
                entered.discard(os.path.realpath(match))  # asked for by name
                sources += _walk(match, Path(), entered)
            elif explicit or has_picture_name(match):
                sources.append(Source(match))
    unique: dict[str, Source] = {}
    for source in sources:
        unique.setdefault(os.path.realpath(source.path), source)
    if not unique:
        raise InputError(f"no pictures in {', '.join(map(str, paths)) or 'nothing'}")
    return list(unique.values())


def _matches(path: str | Path) -> list[tuple[Path, bool]]:
    """What a path or pattern stands for, and whether it was named rather than matched."""
    if os.path.lexists(path):
        return [(Path(path), True)]
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        what = "nothing matches" if glob.has_magic(str(path)) else "no such file or folder:"
        raise InputError(f"{what} {path}")
    return [(Path(match), False) for match in found]


def _walk(folder: Path, below: Path, entered: set[str]) -> Iterator[Source]:
    """Pictures in ``folder`` and below it, files before folders; ``entered`` holds the folders already seen."""
    real = os.path.realpath(folder)
    if real in entered:
        return
    entered.add(real)
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        folders = [entry for entry in entries if entry.is_dir()]
    except OSError as error:
        yield Source(folder, below, f"cannot read {folder}: {error.strerror or error}")
        return
    yield from (Source(entry, below) for entry in entries if entry not in folders and has_picture_name(entry))
    for entry in folders:
        yield from _walk(entry, below / entry.name, entered)


def plan(sources: Iterable[Source], options: Options) -> list[Job]:
    """Name the results.

    Without ``save_faces`` a photo becomes ``output/below/stem[_suffix].extension``; with it the classic layout holds:
    ``restored_imgs``, and for every face ``cropped_faces``, ``restored_faces`` and ``cmp``. Sources whose results would
    have the same names are told apart by a number: ``a.jpg`` and ``a.png`` give ``a`` and ``a-2`` where it matters.

    Raises:
        InputError: the format is not one that can be written, or the suffix would lead to another folder.
    """
    if options.format is not None and not _writable(f".{options.format}"):
        raise InputError(f"unknown format {options.format!r}; choose one of {WRITABLE}")
    if Path(options.suffix).name != options.suffix:
        raise InputError(f"the suffix {options.suffix!r} cannot be part of a file name")
    sources = list(sources)
    root = options.output / FOLDERS[0] if options.save_faces else options.output
    suffix = f"_{options.suffix}" if options.suffix else ""
    wanted = [(source.below / source.path.stem, _extension(source.path, options.format)) for source in sources]

    def name(stem: Path, extension: str) -> str:
        # Where faces are saved they carry the stem alone. Case is no difference on many file systems.
        return str(stem if options.save_faces else f"{stem}{extension}").casefold()

    natural = {name(*pair) for pair in wanted}
    taken: set[str] = set()
    jobs: list[Job] = []
    for source, (stem, extension) in zip(sources, wanted, strict=True):
        free, number = stem, 2
        while name(free, extension) in taken or (free != stem and name(free, extension) in natural):
            free, number = stem.with_name(f"{stem.name}-{number}"), number + 1
        taken.add(name(free, extension))
        jobs.append(Job(source, root / free.with_name(f"{free.name}{suffix}{extension}"), free))
    return jobs


def restore_files(restorer: Restorer, sources: Iterable[Source], options: Options) -> Iterator[Outcome]:
    """Restore photos one after the other; whatever goes wrong with one, the rest goes on.

    Args:
        restorer: what ``revisage.load`` returns.
        sources: what ``collect`` returns.
        options: how, and where to.

    Yields:
        One outcome a source, in order, as soon as it is settled.

    Raises:
        InputError: the options make no sense; before the first photo.
    """
    jobs = plan(sources, options)
    originals = frozenset(os.path.realpath(job.source.path) for job in jobs)
    return (_attempt(restorer, job, options, originals) for job in jobs)


def _attempt(restorer: Restorer, job: Job, options: Options, originals: frozenset[str]) -> Outcome:
    path = job.source.path
    if job.source.fault:
        return Outcome(path, error=job.source.fault)
    if os.path.realpath(job.target) in originals:
        return Outcome(path, error=f"{path}: the result would replace an original, {job.target}; use another folder")
    folder = Path(os.path.realpath(path)).parent
    if options.save_faces and any(folder.is_relative_to(os.path.realpath(options.output / name)) for name in FOLDERS):
        return Outcome(path, error=f"{path} lies among the results; use another folder for them")
    if job.target.exists() and not options.overwrite:
        return Outcome(path, job.target, exists=True)
    try:
        return _restore(restorer, job, options)
    except OutputError as error:
        return Outcome(path, error=str(error))  # names the result
    except Exception as error:  # a fault nobody thought of must not cost the photos after this one
        return Outcome(path, error=fault_of(path, error))


def fault_of(path: Path, error: Exception) -> str:
    """What went wrong with a photo, in one line that names it."""
    match error:
        case RevisageError():
            message = str(error)
        case MemoryError():
            message = "not enough memory"
        case _:
            _log.debug("unexpected error with %s", path, exc_info=error)
            message = " ".join(f"{type(error).__name__}: {error}".split())
    return message if str(path) in message else f"{path}: {message}"


def _restore(restorer: Restorer, job: Job, options: Options) -> Outcome:
    (result,) = restorer.restore([read_image(job.source.path)], options.controls)
    if options.save_faces:
        _write_faces(result.faces, job.stem, options)
    write_image(job.target, result.image, like=job.source.path, overwrite=options.overwrite)
    failed = [face.reason for face in result.faces if face.status is FaceStatus.FAILED]
    return Outcome(
        job.source.path,
        job.target,
        found=len(result.faces),
        restored=sum(face.status is FaceStatus.RESTORED for face in result.faces),
        skipped=tuple(
            f"{face.status}: {face.reason}" if face.reason else str(face.status)
            for face in result.faces
            if face.status is not FaceStatus.RESTORED
        ),
        error=f"{job.source.path}: {len(failed)} of {len(result.faces)} faces failed: {failed[0]}" if failed else "",
    )


def _write_faces(faces: Sequence[RestoredFace], stem: Path, options: Options) -> None:
    """Each restored face as it was, as it is, and both side by side, numbered from 00, best score first."""
    suffix = f"_{options.suffix}" if options.suffix else ""
    number = 0
    for face in faces:
        if face.crop is None or face.restored is None:
            continue
        name = f"{stem}_{number:02d}"
        pictures = (face.crop, ""), (face.restored, suffix), (np.hstack([face.crop, face.restored]), "")
        for folder, (picture, end) in zip(FOLDERS[1:], pictures, strict=True):
            write_image(options.output / folder / f"{name}{end}.png", picture, overwrite=True)
        number += 1


def _extension(path: Path, wanted: str | None) -> str:
    if wanted is not None:
        return f".{wanted}"
    return path.suffix if _writable(path.suffix) else ".png"


def _writable(extension: str) -> bool:
    entry = FORMATS.get(extension.lower())
    return entry is not None and entry.writable
