"""The classic LMDB of training pictures: a folder ``*.lmdb`` with PNG files and a list of their names.

``data.mdb`` maps the name of a picture without extension, in ASCII, to the bytes of its PNG; ``meta_info.txt`` has a
line ``name.png (height,width,channels) level`` for each, level being that of the PNG's compression.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2

from revisage.errors import OutputError, RecipeError
from revisage.files import safe_read
from revisage.training.data.sources import Crop, decoded

META = "meta_info.txt"
PNG_LEVEL = 1
_COMMIT_EVERY = 1000
_OPENED: dict[Path, tuple[int, Any]] = {}


class LmdbSource:
    """Pictures in a classic LMDB, sorted by name; each process opens it when it first reads.

    Raises:
        RecipeError: the path does not end in ``.lmdb``, or there is no such database with a list of names.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".lmdb":
            raise RecipeError(f"the name of an LMDB ends in .lmdb, unlike {path}")
        try:
            lines = safe_read(path / META).decode("ascii").splitlines()
        except OSError as error:
            raise RecipeError(f"cannot read {path / META}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path / META} is no list of names in ASCII") from error
        self.path = path.resolve()
        self.names = sorted(line.split(".")[0] for line in lines if line.strip())
        if not self.names:
            raise RecipeError(f"{path / META} names no pictures")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int, /) -> Crop:
        name = self.names[index]
        environment = _environment(self.path)
        try:
            with environment.begin() as transaction:
                data = transaction.get(name.encode("ascii"))
        except _lmdb().Error as error:  # a name that cannot be one, or a page that is not one
            raise RecipeError(f"cannot read {name} from {self.path}: {error}") from error
        if data is None:
            raise RecipeError(f"{self.path} holds no picture {name}, though {META} names it")
        return decoded(name, bytes(data), f"{name} in {self.path}")


def _environment(path: Path) -> Any:
    """The open database of this process. LMDB allows one a process, and none that was opened before a fork."""
    pid, environment = _OPENED.get(path, (0, None))
    if pid != os.getpid():
        lmdb = _lmdb()
        if environment is not None:
            environment.close()
        try:
            environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
        except lmdb.Error as error:
            raise RecipeError(f"{path} is not a whole LMDB: {error}") from error
        # The file is mapped: to read a page beyond its end kills the process.
        stated = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if (path / "data.mdb").stat().st_size < stated:
            environment.close()
            raise RecipeError(f"{path} is not a whole LMDB: data.mdb has fewer than {stated} bytes")
        _OPENED[path] = os.getpid(), environment
    return environment


def write_lmdb(path: Path, crops: Iterable[Crop]) -> None:
    """Write a classic LMDB; it gets its name when it is whole.

    Args:
        path: a folder ending in ``.lmdb`` that does not exist yet.
        crops: with names in ASCII, without dots.

    Raises:
        OutputError: the folder exists, a name is impossible or comes twice, or the disk is full.
    """
    if path.suffix != ".lmdb" or path.exists():
        raise OutputError(f"cannot write {path}: an LMDB is a new folder whose name ends in .lmdb")
    lmdb, part = _lmdb(), path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        # The file grows as it is filled; this is only the largest size that it may reach.
        with lmdb.open(str(part), map_size=2**40) as environment:
            lines = _fill(environment, crops, path)
        (part / META).write_text("".join(lines), encoding="utf-8")
        part.rename(path)
    except (OSError, lmdb.Error) as error:
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(environment: Any, crops: Iterable[Crop], path: Path) -> list[str]:
    lines: list[str] = []
    transaction = environment.begin(write=True)
    for count, crop in enumerate(crops, 1):
        if not crop.name.isascii() or not crop.name.isprintable() or not crop.name or "." in crop.name:
            raise OutputError(f"cannot write {path}: {crop.name!r} is no name for a picture in an LMDB")
        done, data = cv2.imencode(".png", crop.pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
        if not done or not transaction.put(crop.name.encode("ascii"), data.tobytes(), overwrite=False):
            raise OutputError(f"cannot write {path}: the picture {crop.name} comes twice or cannot be encoded")
        height, width, channels = crop.pixels.shape
        lines.append(f"{crop.name}.png ({height},{width},{channels}) {PNG_LEVEL}\n")
        if count % _COMMIT_EVERY == 0:
            transaction.commit()
            transaction = environment.begin(write=True)
    transaction.commit()
    return lines


def _lmdb() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise RecipeError("LMDB needs the package lmdb: pip install 'revisage[train]'") from error
    return lmdb
