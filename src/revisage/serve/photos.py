"""Photos of people who use the page: each session has a folder of its own, which is deleted with it."""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from revisage.serve.restored_file import RestoredFile


@dataclass(eq=False)
class Photo:
    """A photo on the page.

    Attributes:
        source: the uploaded file; results are written beside it.
        own_strengths: strength of faces for which one was chosen, by number.
        disabled: numbers of faces that are left as they are.
        restored: what was made of it, if anything.
        made_with: the choices with which it was made.
        error: why nothing could be made of it, one sentence.
    """

    source: Path
    own_strengths: dict[int, float] = field(default_factory=dict[int, float])
    disabled: set[int] = field(default_factory=set[int])
    restored: RestoredFile | None = None
    made_with: Any = None
    error: str = ""

    @property
    def name(self) -> str:
        """Name of the uploaded file."""
        return self.source.name

    @property
    def face_strengths(self) -> dict[int, float] | None:
        """The strengths that were chosen for single faces; None: none."""
        return {**self.own_strengths, **dict.fromkeys(self.disabled, 0.0)} or None

    def take(self, restored: RestoredFile, made_with: Any) -> None:
        """Replace what was made of the photo before."""
        former, self.restored, self.made_with, self.error = self.restored, restored, made_with, ""
        if former is not None:
            shutil.rmtree(former.path.parent, ignore_errors=True)


class Session:
    """The session of one browser tab: photos in a folder with a name that nobody can guess.

    Attributes:
        photos: in the order in which they were added.
        current: index of the photo that is shown.
        archive: all results in one zip file; None: there are fewer than two.
    """

    def __init__(self, parent: Path) -> None:
        self.folder = parent / token_urlsafe(16)
        self.folder.mkdir()
        self.photos: list[Photo] = []
        self.current = 0
        self.archive: Path | None = None
        self._run = 0
        self._task: asyncio.Future[Any] | None = None

    @property
    def photo(self) -> Photo | None:
        """The photo that is shown."""
        return self.photos[self.current] if self.current < len(self.photos) else None

    def add(self, path: Path) -> None:
        """Copy a file into the session's folder."""
        folder = self._make_folder()
        shutil.copyfile(path, folder / path.name)
        self.photos.append(Photo(folder / path.name))

    def begin(self) -> int:
        """Stop what runs; return the number of a new run."""
        self.stop()
        return self._run

    def stop(self) -> None:
        """Stop what runs."""
        self._run += 1
        if self._task is not None:
            self._task.cancel()

    def is_current(self, run: int) -> bool:
        """Whether a run was not stopped, and no later one has begun."""
        return run == self._run

    async def wait_for(self, work: Coroutine[Any, Any, RestoredFile]) -> RestoredFile:
        """Await work; :meth:`stop` cancels it."""
        self._task = asyncio.ensure_future(work)
        try:
            return await self._task
        finally:
            self._task = None

    def pack(self) -> None:
        """Write all results into the archive, if there are several."""
        if self.archive is not None:
            shutil.rmtree(self.archive.parent, ignore_errors=True)
            self.archive = None
        results = [photo.restored.path for photo in self.photos if photo.restored is not None]
        if len(results) < 2:
            return
        target = self._make_folder() / "restored.zip"
        taken: set[str] = set()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # photos are compressed already
            for path in results:
                name, count = path.name, 1
                while name.lower() in taken:
                    count += 1
                    name = f"{path.stem}-{count}{path.suffix}"
                taken.add(name.lower())
                archive.write(path, name)
        self.archive = target

    def clear(self) -> None:
        """Stop, and delete all photos."""
        self.close()
        self.folder.mkdir()
        self.photos, self.current, self.archive = [], 0, None

    def close(self) -> None:
        """Stop, and delete everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_folder(self) -> Path:
        folder = self.folder / token_urlsafe(8)
        folder.mkdir()
        return folder
