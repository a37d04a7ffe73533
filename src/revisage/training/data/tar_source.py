"""Tar shards as WebDataset names them, with random access: ``key.png`` or ``key.jpg`` beside ``key.json`` and others.

A shard is not streamed: its table of contents is read once, and each picture by its place in the file. So any sample
can be made alone, every epoch has an order of its own over all shards, and a run resumes exactly. From a bucket (any
URL that fsspec understands: ``s3://``, ``gs://``, ``https://``) each picture is one request for a range of bytes.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from revisage.errors import RecipeError
from revisage.files import safe_open
from revisage.training.data.sources import SUFFIXES, Crop, decoded

LARGEST_PICTURE = 2**28
"""Bytes; what a shard says of its members may be anything."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A picture in a shard: where its bytes begin, and how many there are."""

    name: str
    shard: int
    offset: int
    size: int


class TarSource:
    """Pictures in tar shards, in the order of the shards given and of the tar files.

    Args:
        shards: paths or URLs of uncompressed tar files.

    Raises:
        RecipeError: a shard cannot be read, is no tar file, is compressed, or holds no picture.
    """

    def __init__(self, shards: Sequence[str | os.PathLike[str]]) -> None:
        self.shards = [os.fspath(shard) for shard in shards]
        self._members = [member for number in range(len(self.shards)) for member in self._contents(number)]
        self._opened: dict[tuple[int, int], IO[bytes]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int, /) -> Crop:
        member = self._members[index]
        # A file that was opened before a fork shares its position with the parent: each process opens its own.
        key = os.getpid(), member.shard
        try:
            if key not in self._opened:
                self._opened[key] = _open(self.shards[member.shard])
            file = self._opened[key]
            file.seek(member.offset)
            data = file.read(member.size)
        except OSError as error:
            raise RecipeError(f"cannot read {self.shards[member.shard]}: {error.strerror or error}") from error
        return decoded(member.name, data, f"{member.name} in {self.shards[member.shard]}")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": {}}

    def _contents(self, number: int) -> list[_Member]:
        shard = self.shards[number]
        try:
            with _open(shard) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                members = [
                    # A key ends at the first dot of the file's name.
                    _Member(PurePosixPath(info.name).name.split(".")[0], number, info.offset_data, info.size)
                    for info in archive
                    if info.isfile() and PurePosixPath(info.name).suffix.lower() in SUFFIXES
                ]
        except (OSError, tarfile.TarError) as error:
            raise RecipeError(f"{shard} is not a readable, uncompressed tar file: {error}") from error
        if not members:
            raise RecipeError(f"{shard} holds no pictures")
        if any(member.size > LARGEST_PICTURE for member in members):
            raise RecipeError(f"{shard} is refused: it states a picture of more than {LARGEST_PICTURE} bytes")
        return members


def _open(shard: str) -> IO[bytes]:
    if "://" not in shard:
        return safe_open(shard)  # kept open
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(shard)
        return files.open(path, "rb")
    except (ImportError, ValueError) as error:
        raise RecipeError(f"cannot open {shard}: {error}") from error
