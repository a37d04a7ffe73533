"""What the results are called, so that no two share a name, and each photo's keeps its name from run to run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from revisage.batch.journal import Entry, Journal, Status
from revisage.batch.options import FOLDERS, Options
from revisage.images import FORMATS
from revisage.jobs.sources import Source


@dataclass(frozen=True, slots=True)
class Job:
    """A source and the names of its results.

    Attributes:
        source: what to restore.
        target: the restored photo.
        stem: what its faces are called, relative to the folders of faces: ``{stem}_00.png``.
        key: the name that no other photo may have: of the result, below the output folder, without its extension where
            faces are saved, since they carry the stem alone. In lower case: on many file systems that is no difference.
        entry: what the journal knows from earlier runs.
    """

    source: Source
    target: Path
    stem: str
    key: str
    entry: Entry | None = None


def plan(sources: Iterable[Source], options: Options, journal: Journal) -> Iterator[Job]:
    """Name the results, one after the other, and put the names into the journal.

    Without ``save_faces`` a photo becomes ``output/below/stem[_suffix].extension``; with it the classic layout holds:
    ``restored_imgs``, and for every face ``cropped_faces``, ``restored_faces`` and ``cmp``. Sources whose results would
    have the same names are told apart by a number: ``a.jpg`` and ``a.png`` give ``a`` and ``a-2`` where it matters. A
    name belongs to the photo that had it first, as long as that photo exists. What the journal knows as a result is no
    source.
    """
    journal.forget_faults()
    for source in sources:
        path = journal.relative(source.path)
        if source.fault:
            yield Job(source, options.photos / source.below, str(source.below), f"/{source.below}")
        elif not _is_result(path, options, journal):
            yield _named(source, path, options, journal)


def _named(source: Source, path: str, options: Options, journal: Journal) -> Job:
    """``path`` is that of the source as the journal has it."""
    stem, extension = str(source.below / source.path.stem), options.extension_for(source.path.suffix)
    free, number = stem, 1
    while True:
        photo = f"{free}{options.ending}"
        key = (f"{FOLDERS[0]}/{photo}" if options.save_faces else f"{photo}{extension}").casefold()
        entry = journal.entry(key)
        if entry is not None and _is_of(entry, source, path, journal):
            break
        if _is_free(entry, journal) and (number == 1 or not _is_natural(Path(free).name, source, options)):
            entry = None
            break
        number += 1
        free = f"{stem}-{number}"
    job = Job(source, options.photos / f"{photo}{extension}", free, key, entry)
    if entry is None:
        target = journal.relative(job.target)
        journal.put(Entry(key=key, source=path, target=target, run=journal.run, status=Status.STARTED))
    return job


def _is_of(entry: Entry, source: Source, path: str, journal: Journal) -> bool:
    """Whether a name has been this photo's since an earlier run, maybe under another path to the same file."""
    if entry.run == journal.run:
        return False
    if entry.source == path:
        return True
    with suppress(OSError):
        return source.path.samefile(journal.absolute(entry.source))
    return False


def _is_free(entry: Entry | None, journal: Journal) -> bool:
    """Whether a name has no owner, or one that is gone."""
    return entry is None or (entry.run < journal.run and not os.path.lexists(journal.absolute(entry.source)))


def _is_natural(stem: str, source: Source, options: Options) -> bool:
    """Whether a photo beside this one needs no number to be called so."""
    wanted = options.extension_for(source.path.suffix)
    extensions = [one for one in FORMATS if options.save_faces or options.extension_for(one) == wanted]
    return any(os.path.lexists(source.path.with_name(stem + extension)) for extension in extensions)


def _is_result(path: str, options: Options, journal: Journal) -> bool:
    """Whether an earlier run made this file: results can lie among the photos, told apart by a suffix."""
    if path.startswith(os.pardir) or options.save_faces:
        return False
    entry = journal.entry(path.casefold())
    return entry is not None and entry.target == path and entry.result_size >= 0
