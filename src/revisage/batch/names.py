"""Name the results: no two share a name, each source keeps its own from run to run, no input is overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from revisage.batch.options import FOLDERS, VIDEO_FORMATS, Options
from revisage.errors import ImageError
from revisage.images import FORMATS
from revisage.images.fitting import choose_extension
from revisage.jobs.collector import VIDEOS, Kind, Source, Sources, kind_by_name, video_extension
from revisage.jobs.store import NO_FILE, Entry, JobStore, Status, stamp_of


@dataclass(frozen=True, slots=True)
class Job:
    """A source and the names of its results.

    Attributes:
        source: the image or video to restore.
        target: the restored file.
        output_stem: name of its faces, relative to the folders of faces: ``{output_stem}_00.png``.
        key: the name that no other source may have: of the result, below the output folder, without its extension where
            faces are saved, since they carry the stem alone. In lower case: many file systems do not tell case apart.
        entry: the store's row from earlier runs.
        note: why the result has another format than the name of its source says, or "".
    """

    source: Source
    target: Path
    output_stem: str
    key: str
    entry: Entry | None = None
    note: str = ""


def plan(sources: Iterable[Source], options: Options, store: JobStore) -> Iterator[Job]:
    """Name the results, one after the other, and put the names into the store.

    Without ``save_faces`` a source becomes ``output/below/stem[_suffix].extension``; with it the classic layout holds:
    ``restored_imgs``, and for every face ``cropped_faces``, ``restored_faces`` and ``cmp``. Sources whose results would
    have the same names are told apart by a number: ``a.jpg`` and ``a.png`` give ``a`` and ``a-2`` where it matters. A
    name belongs to the source that had it first, as long as that source exists. Files that the store knows as results
    are no sources.
    """
    store.remove("/")  # folders that could not be listed: those that still cannot come up again
    for source in sources:
        path = store.relative(source.path)
        if source.fault:
            yield Job(source, options.restored / source.below, str(source.below), f"/{source.below}")
        elif not _is_result(path, options, store):
            yield _name(source, path, options, store)


def _name(source: Source, path: str, options: Options, store: JobStore) -> Job:
    """The job of a source; ``path`` is that of the source as the store has it."""
    stem, (extension, note) = str(source.below / source.path.stem), _extension(source, path, options, store)
    free, number = stem, 1
    while True:
        name = f"{free}{options.ending}"
        key = (f"{FOLDERS[0]}/{name}" if options.save_faces else f"{name}{extension}").casefold()
        entry = store.get(key)
        if entry is not None and _is_of(entry, source, path, store):
            break
        if _is_free(entry, store) and (number == 1 or not _is_natural(Path(free).name, source, options)):
            entry = None
            break
        number += 1
        free = f"{stem}-{number}"
    job = Job(source, options.target or options.restored / f"{name}{extension}", free, key, entry, note)
    if entry is None:
        target = store.relative(job.target)
        store.put(Entry(key=key, source=path, target=target, run=store.run, status=Status.STARTED))
    return job


def _extension(source: Source, path: str, options: Options, store: JobStore) -> tuple[str, str]:
    """The extension of the result, and why it is not the one that the name of the source asks for, or ""."""
    extension = options.extension_for(source.path.suffix, source.kind)
    if source.kind is Kind.VIDEO:
        is_named = options.target or options.format in VIDEO_FORMATS or kind_by_name(source.path) is Kind.VIDEO
        return (extension if is_named else video_extension(source.path)), ""
    if not options.follows_content:
        return extension, ""
    entry = store.get(f"{source.below / source.path.stem}{options.ending}{extension}".casefold())
    if entry and entry.source == path and stamp_of(source.path) == (entry.size, entry.mtime):
        return extension, ""  # as in the run before: nothing has to be opened
    try:
        return choose_extension(source.path, 1 if options.controls.aligned else options.controls.scale)
    except ImageError:  # will be said when it is read
        return extension, ""


def _is_of(entry: Entry, source: Source, path: str, store: JobStore) -> bool:
    """Whether a name has been this source's since an earlier run, maybe under another path to the same file."""
    if entry.run == store.run:
        return False
    if entry.source == path:
        return True
    with suppress(OSError):
        return source.path.samefile(store.absolute(entry.source))
    return False


def _is_free(entry: Entry | None, store: JobStore) -> bool:
    """Whether a name has no owner, or one that is gone."""
    if entry is None or entry.run == store.run:
        return entry is None
    source = store.absolute(entry.source)
    return stamp_of(source) == NO_FILE and not os.path.lexists(source)


def _is_natural(stem: str, source: Source, options: Options) -> bool:
    """Whether a file beside this source needs no number to be called so."""
    wanted = options.extension_for(source.path.suffix, source.kind)
    kinds = dict.fromkeys(FORMATS, Kind.IMAGE) | dict.fromkeys(VIDEOS, Kind.VIDEO)
    same = [one for one, kind in kinds.items() if options.save_faces or options.extension_for(one, kind) == wanted]
    return any(os.path.lexists(source.path.with_name(stem + extension)) for extension in same)


def _is_result(path: str, options: Options, store: JobStore) -> bool:
    """Whether an earlier run made this file: results can lie among the sources, told apart by a suffix."""
    if path.startswith(os.pardir) or options.save_faces:
        return False
    entry = store.get(path.casefold())
    return entry is not None and entry.target == path and entry.result_size >= 0


class Originals:
    """The files that a run reads, told from its results by where they lie.

    Nothing is remembered of files in folders: everything below a folder that is searched, but not in the folder of the
    results, counts as an original. Files that were given are known by their identity.
    """

    def __init__(self, sources: Sources | Iterable[Source], output: Path) -> None:
        inputs = sources.inputs if isinstance(sources, Sources) else [source.path for source in sources]
        self._files = {_identity(path) for path in inputs if not path.is_dir()} - {None}
        self._folders = {_identity(path) for path in inputs if path.is_dir()} - {None}
        self._results = _identity(output)
        self._is_searched = lru_cache(1000)(self._look)

    def would_overwrite_input(self, target: Path, source: Path) -> bool:
        """Whether writing ``target`` would replace an original: the source itself, another one, or a link to one."""
        identity = _identity(target)
        if identity is None:
            return False
        if identity == _identity(source) or identity in self._files:
            return True
        folders = {os.path.realpath(target.parent), os.path.dirname(os.path.realpath(target))}  # noqa: PTH120
        return any(map(self._is_searched, folders))

    def _look(self, folder: str) -> bool:
        """Whether the files in a folder are originals: the nearest folder above that is one or the other decides."""
        for above in (Path(folder), *Path(folder).parents):
            identity = _identity(above)
            if identity in self._folders:
                return True
            if identity == self._results:
                return False
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file or folder: the same whatever its name, its case, and the links to it."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
