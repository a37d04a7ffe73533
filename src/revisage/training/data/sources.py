"""Where aligned faces are read from: folders, the classic LMDB, tar shards. One contract: a sequence of :class:`Crop`.

A source gives the same crop at an index always: so samples are reproducible and runs resume. It may be used in several
processes at once; each opens its own files.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, cast

import cv2
from torch.utils.data import ConcatDataset

from revisage.errors import OutputError, RecipeError
from revisage.files import safe_open, safe_read
from revisage.images import has_image_extension
from revisage.training.data.crops import Crop, decode_crop, list_crops, named, read_crop

LMDB_NAMES = "meta_info.txt"
PNG_LEVEL = 1
MAX_IMAGE_BYTES = 2**28
"""A shard's headers may state any size of a member."""
_COMMIT_EVERY = 1000
_ENVIRONMENTS: dict[Path, tuple[int, Any]] = {}


Names = str | tuple[str, ...]
"""Folders, files or patterns of aligned square images; ``.lmdb`` folders; ``.tar`` shards, paths or URLs."""


class Source(Protocol):
    """A sequence of aligned faces, sorted by name."""

    @property
    def names(self) -> Sequence[str]:
        """Name of each face: its path below the source without extension; the last part is the key of the crop."""
        ...

    def __len__(self) -> int:
        """Number of faces, at least one."""
        ...

    def __getitem__(self, index: int, /) -> Crop:
        """The face at an index (0 .. len - 1), decoded (RecipeError: it cannot be)."""
        ...


def open_source(names: str | Path | Iterable[str | Path], name_prefixes: Sequence[str] = ("",)) -> Source:
    """Open one source, or several one after the other (RecipeError: one cannot be read, or holds no such image).

    ``name_prefixes`` are beginnings of the image names to use.
    """
    names = [names] if isinstance(names, str | Path) else names
    sources = [_open(os.fspath(name), name_prefixes) for name in names]
    return sources[0] if len(sources) == 1 else _Chain(sources)


class _Chain(ConcatDataset[Crop]):
    """Several sources, one after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        super().__init__(cast("Any", sources))
        self.names = [name for source in sources for name in source.names]


def _open(name: str, name_prefixes: Sequence[str]) -> Source:
    if name.endswith(".tar"):
        return TarSource([name], name_prefixes)
    if name.rstrip("/").endswith(".lmdb"):
        return LmdbSource(Path(name), name_prefixes)
    return FolderSource([Path(name)], name_prefixes)


def read_crops(names: str | Path | Iterable[str | Path], name_prefixes: Sequence[str] = ("",)) -> list[Crop]:
    """Decode all images of :func:`open_source` (RecipeError: also if one is not square or cannot be read).

    Those of a source that is named more than once are decoded, and kept, once.
    """
    names = [names] if isinstance(names, str | Path) else list(names)
    sources = {name: open_source(name, name_prefixes) for name in names}
    crops = {name: [source[index] for index in range(len(source))] for name, source in sources.items()}
    return [crop for name in names for crop in crops[name]]


class FileSource:
    """Image files under names, decoded when they are asked for."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.paths = paths
        self.names = names

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Crop:
        return read_crop(self.paths[index])


class FolderSource(FileSource):
    """Images in folders and below them; files and patterns as well, see :func:`list_crops`."""

    def __init__(self, folders: Iterable[Path], name_prefixes: Sequence[str] = ("",)) -> None:
        found = [source for folder in folders for source in list_crops(folder, name_prefixes)]
        names = [(source.below / source.path.stem).as_posix() for source in found]
        super().__init__([source.path for source in found], names)


@dataclass(frozen=True, slots=True)
class _Member:
    """An image in a shard: where its bytes begin, and how many there are."""

    key: str
    shard: int
    offset: int
    size: int


class TarSource:
    """Images in uncompressed tar shards as WebDataset names them, ``key.png`` or ``key.jpg`` beside other files.

    A shard is not streamed: its table of contents is read once, and each image by its offset. So any sample can be made
    alone, every epoch has an order of its own over all shards, and a run resumes exactly. From a bucket (any URL that
    fsspec understands: ``s3://``, ``gs://``, ``https://``) each image is one request for a range of bytes.
    """

    def __init__(self, shards: Sequence[str | os.PathLike[str]], name_prefixes: Sequence[str] = ("",)) -> None:
        self.shards = [os.fspath(shard) for shard in shards]
        self._members = [
            member for number in range(len(self.shards)) for member in self._contents(number, tuple(name_prefixes))
        ]
        self.names = [member.key for member in self._members]
        self._files: dict[tuple[int, int], IO[bytes]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int, /) -> Crop:
        member = self._members[index]
        # A file that was opened before a fork shares its position with the parent: each process opens its own.
        process_and_shard = os.getpid(), member.shard
        try:
            if process_and_shard not in self._files:
                self._files[process_and_shard] = _open_shard(self.shards[member.shard])
            file = self._files[process_and_shard]
            file.seek(member.offset)
            data = file.read(member.size)
        except OSError as error:
            raise RecipeError(f"cannot read {self.shards[member.shard]}: {error.strerror or error}") from error
        return decode_crop(member.key, data, f"{member.key} in {self.shards[member.shard]}")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}

    def _contents(self, number: int, name_prefixes: tuple[str, ...]) -> list[_Member]:
        shard = self.shards[number]
        try:
            with _open_shard(shard) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                members = [
                    # A key ends at the first dot of the file's name.
                    _Member(path.name.split(".")[0], number, info.offset_data, info.size)
                    for info in archive
                    if info.isfile()
                    and (path := PurePosixPath(info.name)).name.startswith(name_prefixes)
                    and not path.name.startswith(".")
                    and has_image_extension(Path(path))
                ]
        except (OSError, tarfile.TarError) as error:
            raise RecipeError(f"{shard} is not a readable, uncompressed tar file: {error}") from error
        if not members:
            raise RecipeError(f"{shard} holds no images{named(name_prefixes)}")
        if any(member.size > MAX_IMAGE_BYTES for member in members):
            raise RecipeError(f"{shard} is refused: it states an image of more than {MAX_IMAGE_BYTES} bytes")
        return members


def _open_shard(shard: str) -> IO[bytes]:
    if "://" not in shard:
        return safe_open(shard)  # kept open
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(shard)
        return files.open(path, "rb")
    except (ImportError, ValueError) as error:
        raise RecipeError(f"cannot open {shard}: {error}") from error


class LmdbSource:
    """Images in a classic LMDB, sorted by name; each process opens it when it first reads.

    The database is a folder that ends in ``.lmdb``: ``data.mdb`` maps the name of an image without extension, in ASCII,
    to the bytes of its PNG; ``meta_info.txt`` has a line ``name.png (height,width,channels) level`` for each, level
    being the PNG's compression.
    """

    def __init__(self, path: Path, name_prefixes: Sequence[str] = ("",)) -> None:
        if path.suffix != ".lmdb":
            raise RecipeError(f"the name of an LMDB ends in .lmdb, unlike {path}")
        try:
            lines = safe_read(path / LMDB_NAMES).decode("ascii").splitlines()
        except OSError as error:
            raise RecipeError(f"cannot read {path / LMDB_NAMES}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path / LMDB_NAMES} is no list of names in ASCII") from error
        self.path = path.resolve()
        names = (line.split(".")[0] for line in lines if line.strip())
        self.names = sorted(name for name in names if name.startswith(tuple(name_prefixes)))
        if not self.names:
            raise RecipeError(f"{path / LMDB_NAMES} lists no images{named(name_prefixes)}")

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
            raise RecipeError(f"{self.path} holds no image {name}, though {LMDB_NAMES} lists it")
        return decode_crop(name, bytes(data), f"{name} in {self.path}")


def _environment(path: Path) -> Any:
    """The open database of this process. LMDB allows one a process, and none that was opened before a fork."""
    pid, environment = _ENVIRONMENTS.get(path, (0, None))
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
        _ENVIRONMENTS[path] = os.getpid(), environment
    return environment


def write_lmdb(path: Path, crops: Iterable[Crop]) -> None:
    """Write a classic LMDB, a new folder ending in ``.lmdb``, under a temporary name until it is complete.

    OutputError: the folder exists, a key is not ASCII without dots or comes twice, or the disk is full.
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
        (part / LMDB_NAMES).write_text("".join(lines), encoding="utf-8")
        part.rename(path)
    except (OSError, lmdb.Error) as error:
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(environment: Any, crops: Iterable[Crop], path: Path) -> list[str]:
    lines: list[str] = []
    transaction = environment.begin(write=True)
    for count, crop in enumerate(crops, 1):
        if not crop.key.isascii() or not crop.key.isprintable() or not crop.key or "." in crop.key:
            raise OutputError(f"cannot write {path}: {crop.key!r} is no name for an image in an LMDB")
        done, data = cv2.imencode(".png", crop.pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
        if not done or not transaction.put(crop.key.encode("ascii"), data.tobytes(), overwrite=False):
            raise OutputError(f"cannot write {path}: the image {crop.key} comes twice or cannot be encoded")
        height, width, channels = crop.pixels.shape
        lines.append(f"{crop.key}.png ({height},{width},{channels}) {PNG_LEVEL}\n")
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
