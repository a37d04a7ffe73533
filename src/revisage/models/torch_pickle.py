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
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from revisage.errors import CheckpointError
from revisage.files import atomic_write
from revisage.models.checkpoint import ParameterSet, to_stored

if TYPE_CHECKING:
    import torch

Allowed: TypeAlias = Sequence[tuple[Callable[..., Any], str]]
"""Stand-ins for names in a pickle: (function or class, full name)."""

_ZIP = b"PK\x03\x04"
_PLAIN = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|(__builtin__|builtins)\.(set|complex)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(storage\.)?\w+Storage|torch\.Size|torch\.device|torch\.serialization\._get_layout"
    r"|torch\.b?(float|int|uint|complex)\d+(_e\dm\d(fn|fnuz|uz)?)?|torch\.bool"
)
"""Names that a pickle of tensors, numbers and texts needs."""
_DANGEROUS = re.compile(
    r"(os|posix|nt|sys|subprocess|importlib|ctypes|socket|shutil|runpy|pty|code|codeop|pickle|marshal)\.|torch\.hub\."
)
"""Names that no file of weights has a reason to hold, not even unused."""
_CLASS = re.compile(
    r"(.*\.)?_?[A-Z]\w*|copy_?reg\._reconstructor|collections\.defaultdict|datetime\.\w+|functools\.partial"
    r"|numpy\.(_?core\.multiarray\.(scalar|_reconstruct)|dtype|ndarray)|(__builtin__|builtins)\.(frozenset|slice|range)"
)
"""Names of classes (capitalised, or known), which pickles call to make values; functions they call to do things."""
_PICKLES = 5
"""Pickles in a file of the older form: mark, version, system, content, names of the storages."""
_STEPS = 1_000_000
_TEXT = 64
_LOCK = threading.Lock()
_Entry: TypeAlias = tuple[int, str | None]
"""Size of a value on the stack of a pickle, and the name of the class or function that it is or comes from."""


class _StandIn:
    """Takes the place of an object whose class is not loaded; keeps nothing and does nothing."""

    def __init__(self, *values: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _MappingStandIn:
    """Takes the place of an object that is used like a dictionary: a plain one."""

    def __new__(cls, *_: object) -> Any:
        return OrderedDict()


def save_torch_weights(
    path: Path,
    state: Mapping[str, torch.Tensor],
    parameter_set: ParameterSet | None = "params_ema",
    dtype: torch.dtype | None = None,
) -> None:
    """Write a state dict as the published files are, atomically (OutputError: it fails; an earlier file is intact).

    ``parameter_set`` is the name the state dict goes under; None: the file is the state dict itself. Floating-point
    tensors are stored as ``dtype``; None keeps theirs.
    """
    import torch

    # Cloned: a view would drag all of its storage into the file.
    tensors = {key: stored.clone() for key, stored in to_stored(state, dtype).items()}
    with atomic_write(path) as temporary:
        torch.save({parameter_set: tensors} if parameter_set else tensors, temporary)


def unpickle(path: Path, allowed: Allowed = (), *, stand_ins: bool = False) -> Any:
    """Read a file that ``torch.save`` wrote, in its present or its older form; tensors on the CPU.

    Large files of the present form are mapped into memory, not read.

    Args:
        path: a file.
        allowed: further names that the pickle may hold, and the functions or classes to call for them.
        stand_ins: objects of all other classes (settings, callbacks, paths, ... beside weights) become empty ones, and
            no class of theirs is loaded. Calls of functions are refused all the same.

    Raises:
        CheckpointError: not a whole PyTorch file; or one that would run more than makes tensors, numbers and
            texts; or one that unpacks to far more than it holds. Such a file is never unpickled.
    """
    import torch

    try:
        zipped = _is_zipped(path)
        found = [_scan(stream) for stream in _streams(path, zipped)]
        names, called, mappings = (set[str]().union(*sets) for sets in zip(*found, strict=True))
        unknown = names - {name for _, name in allowed} - set(filter(_PLAIN.fullmatch, names))
        refused = sorted(
            name
            for name in unknown
            if not stand_ins or _DANGEROUS.match(name) or (name in called and not _CLASS.fullmatch(name))
        )
        if refused:
            raise CheckpointError(
                f"{path} is refused: it is a pickle that would run {refused[0]}; only plain dictionaries of tensors are"
                " read"
            )
        # A class of its own for each: they serve as keys of dictionaries.
        own = [
            (type(name.rpartition(".")[2], (_MappingStandIn if name in mappings else _StandIn,), {}), name)
            for name in sorted(unknown)
        ]
        # The list of safe names is the whole process's: two readings must not undo each other's.
        with _LOCK, torch.serialization.safe_globals([*allowed, *own]):
            if path.suffix.lower() == ".safetensors":  # which PyTorch takes at its word
                with path.open("rb") as file:
                    return torch.load(file, map_location="cpu", weights_only=True)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a whole PyTorch file (its pickle is damaged, or holds more than tensors)"
        ) from error
    # A damaged pickle or archive makes the loader raise errors of every kind.
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


def _scan(stream: IO[bytes]) -> tuple[set[str], set[str], set[str]]:
    """Scan the next pickle of a stream without reading it.

    Returns full names of all classes and functions in it; of those that it calls; of those whose results it fills like
    dictionaries (ValueError: it is damaged, or would take more steps than a million and ten for each of its
    instructions: all tuples are counted as they unfold, and calls as if they doubled their arguments).
    """
    names, called, mappings = set[str](), set[str](), set[str]()
    stack: list[_Entry] = []
    marks: list[int] = []
    memo: dict[Any, _Entry] = {}
    steps = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        name = _full_name(str(argument)) if opcode.name == "GLOBAL" else None
        if name:
            names.add(name)
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            taken = _take(opcode, stack, marks)
            origin = taken[0][1] if taken else None
            if origin and opcode.name == "REDUCE":
                called.add(origin)
            elif origin and opcode.name in ("SETITEM", "SETITEMS"):
                mappings.add(origin)
            if opcode.name in ("REDUCE", "NEWOBJ", "BUILD", "SETITEM", "SETITEMS"):
                name = origin
            size = sum(size for size, _ in taken)
            made = _size(opcode.name, argument, size)
            stack += [(made, name)] * len(opcode.stack_after)
            steps += size + made
        if steps > _STEPS + 10 * count:
            raise ValueError("the pickle unfolds to far more than it holds")
    return names, called, mappings


def _full_name(argument: str) -> str:
    """Name of a class or function in Python 3, as PyTorch's reader looks it up, from that in the pickle."""
    module, _, name = argument.partition(" ")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def _take(opcode: pickletools.OpcodeInfo, stack: list[_Entry], marks: list[int]) -> list[_Entry]:
    """Take the arguments of an instruction off the stack."""
    before = opcode.stack_before
    if pickletools.markobject in before:
        start = marks.pop() - before.index(pickletools.markobject)
    else:
        start = len(stack) - len(before)
    if start < 0:
        raise ValueError("the pickle takes more than it has")
    taken = stack[start:]
    del stack[start:]
    return taken


def _size(name: str, argument: object, taken: int) -> int:
    """Largest size of the result of an instruction. Lists and dictionaries count once: nothing walks through them."""
    if name.startswith("TUPLE"):
        return 1 + taken
    if name in ("REDUCE", "NEWOBJ", "BUILD"):
        return 1 + 2 * taken
    return 1 + len(argument) // _TEXT if isinstance(argument, str | bytes) else 1
