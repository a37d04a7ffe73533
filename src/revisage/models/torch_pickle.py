"""Pickles of PyTorch, read without running code and without letting a small file take much memory or time.

PyTorch's own reader for weights runs no code of others. Still a file of a few hundred bytes can keep it busy for years
(tuples of tuples as a key: its hash is taken in twice as many steps for each level) or fill the memory (``bytearray``
of a number, archives that unpack to a thousand times their size). So a pickle is looked through before it is read.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

from revisage.errors import CheckpointError

Allowed: TypeAlias = Sequence[tuple[Callable[..., Any], str]]
"""What stands in for names in a pickle: (function or class, full name)."""

_ZIP = b"PK\x03\x04"
_PLAIN = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|(__builtin__|builtins)\.(set|complex)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(storage\.)?\w+Storage|torch\.Size|torch\.device|torch\.serialization\._get_layout"
    r"|torch\.b?(float|int|uint|complex)\d+(_e\dm\d(fn|fnuz|uz)?)?|torch\.bool"
)
"""Names that a pickle of tensors, numbers and texts needs."""
_PICKLES = 5
"""Pickles in a file of the older form: mark, version, system, content, names of the storages."""
_STEPS = 1_000_000
_TEXT = 64
_LOCK = threading.Lock()


class _Inert:
    """Stands in for an object of a package whose notes are not looked at; keeps nothing and does nothing."""

    def __init__(self, *values: object, **named: object) -> None:
        pass


def unpickle(path: Path, allowed: Allowed = (), passed_over: tuple[str, ...] = ()) -> Any:
    """What ``torch.save`` wrote into a file, in its present or its older form; tensors on the CPU.

    Large files of the present form are mapped into memory, not read.

    Args:
        path: a file.
        allowed: further names that the pickle may hold, and what is called for them.
        passed_over: beginnings of names; objects of such classes become empty ones.

    Raises:
        CheckpointError: not a whole PyTorch file; or one that would run anything but what makes tensors, numbers and
            texts; or one that unpacks to far more than it holds. Such a file is never unpickled.
    """
    import torch

    try:
        zipped = _is_zipped(path)
        names = set[str]().union(*map(_names, _streams(path, zipped)))
        own = {name for _, name in allowed}
        # A class of its own for each: they serve as keys of dictionaries.
        inert = [(type("Inert", (_Inert,), {}), name) for name in sorted(names) if name.startswith(passed_over)]
        refused = sorted(names - own - {name for _, name in inert} - set(filter(_PLAIN.fullmatch, names)))
        if refused:
            raise CheckpointError(
                f"{path} is refused: it is a pickle that would run {refused[0]}; only plain dictionaries of tensors are"
                " read"
            )
        # The list of safe names is the whole process's: two readings must not undo each other's.
        with _LOCK, torch.serialization.safe_globals([*allowed, *inert]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a whole PyTorch file (its pickle is damaged, or holds more than tensors)"
        ) from error
    # What a damaged pickle or archive makes the loader stumble over is of every kind.
    except Exception as error:
        raise CheckpointError(f"{path} is not a whole PyTorch file ({type(error).__name__})") from error


def _is_zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ZIP


def _streams(path: Path, zipped: bool) -> Iterator[IO[bytes]]:
    """The pickles of a file, one by one; of an archive, once it is certain that it unpacks to no more than it has."""
    if zipped:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = path.stat().st_size
            if sum(member.file_size for member in members) > size or any(member.compress_type for member in members):
                raise CheckpointError(f"{path} is refused: it is an archive that unpacks to more than its {size} bytes")
            for member in members:
                if member.filename.endswith(".pkl"):
                    yield io.BytesIO(archive.read(member))
    else:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            stream: Any = content  # reads no further than the file goes, whatever a pickle says
            for _ in range(_PICKLES):
                yield stream


def _names(stream: IO[bytes]) -> set[str]:
    """Full names of what the next pickle of a stream calls for.

    Raises:
        ValueError: it is damaged, or would take more steps than a million and ten for each of its instructions: all
            tuples are counted as they unfold, and calls as if they doubled what they get.
    """
    names: set[str] = set()
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    steps = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name == "GLOBAL":
            names.add(str(argument).replace(" ", "."))
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            taken = _take(opcode, stack, marks)
            made = _size(opcode.name, argument, taken)
            stack += [made] * len(opcode.stack_after)
            steps += taken + made
        if steps > _STEPS + 10 * count:
            raise ValueError("the pickle unfolds to far more than it holds")
    return names


def _take(opcode: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> int:
    """Take off a stack of sizes what an instruction takes; their sum."""
    before = opcode.stack_before
    if pickletools.markobject in before:
        start = marks.pop() - before.index(pickletools.markobject)
    else:
        start = len(stack) - len(before)
    if start < 0:
        raise ValueError("the pickle takes more than it has")
    taken = sum(stack[start:])
    del stack[start:]
    return taken


def _size(name: str, argument: object, taken: int) -> int:
    """How large what an instruction makes may be. Lists and dictionaries count once: nothing walks through them."""
    if name.startswith("TUPLE"):
        return 1 + taken
    if name in ("REDUCE", "NEWOBJ", "BUILD"):
        return 1 + 2 * taken
    return 1 + len(argument) // _TEXT if isinstance(argument, str | bytes) else 1
