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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.files import atomic_write
from revisage.models.checkpoint import ONNX, ParameterSet, read_onnx_weights, read_weights, to_stored

if TYPE_CHECKING:
    import torch

_TRAINERS = ("pytorch_lightning.", "lightning.", "omegaconf.")
"""Packages whose objects lie beside the weights in ``.ckpt`` files: notes of a training run, not looked at."""
_TRAINING_ONLY = re.compile(r"loss\.|vqvae\.quantize\.utility_counter$")
"""Keys of a Lightning module that wraps a RestoreFormer which are no weights of the network."""

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


def read_torch_weights(path: Path, parameter_set: ParameterSet | None = None) -> dict[str, torch.Tensor]:
    """Read the weights of a PyTorch file -> flat state dict on the CPU; large files are mapped, not read.

    Understood are ``{"params_ema": weights, "params": weights}``, either alone, ``{"state_dict": weights, ...}`` and
    plain state dicts. Keys lose a leading ``module.`` (of parallel training); those of a Lightning module that wraps a
    network as ``vqvae`` lose that; its losses (``loss.``) and its count of dictionary entries in use are dropped.

    Args:
        path: a file that ``torch.save`` wrote, in its present or its older form.
        parameter_set: which of two sets; None: the averaged one, "params_ema", where there is one.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: not a whole PyTorch file, or one that holds anything but tensors under names (such a file is
            never unpickled), or not the set asked for.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no weights file at {path}")
    weights = _weights(unpickle(path, passed_over=_TRAINERS), path, parameter_set)
    odd = [(key, value) for key, value in weights.items() if not _is_weight(key, value)]
    if odd:
        key, value = odd[0]
        raise CheckpointError(f"{path} is not a dictionary of weights: {key!r} is a {type(value).__name__}, no tensor")
    if not weights:
        raise CheckpointError(f"{path} holds no weights")
    for key, value in weights.items():
        if value.nbytes > value.untyped_storage().nbytes():  # one number that is repeated without end, say
            raise CheckpointError(f"{path} is refused: it holds fewer numbers than {key} has")
    return plain_keys({key: value.detach() for key, value in weights.items()})


def save_torch_weights(
    path: Path,
    state: Mapping[str, torch.Tensor],
    parameter_set: ParameterSet | None = "params_ema",
    dtype: torch.dtype | None = None,
) -> None:
    """Write a state dict as the published files are, atomically.

    Args:
        path: a ``.pth`` file.
        state: official key -> tensor; tensors may live on any device.
        parameter_set: the name the state dict goes under; None: the file is the state dict itself.
        dtype: floating-point tensors are stored in this format; None keeps theirs.

    Raises:
        OutputError: the file cannot be written; an earlier one is intact.
    """
    import torch

    # Cloned: a view would drag all of its storage into the file.
    tensors = {key: stored.clone() for key, stored in to_stored(state, dtype).items()}
    with atomic_write(path) as temporary:
        torch.save({parameter_set: tensors} if parameter_set else tensors, temporary)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a ``.safetensors``, exported ``.onnx`` or ``torch.save`` file, see ``read_torch_weights``.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: it is damaged, or holds anything but tensors under names.
    """
    if path.suffix.lower() == ONNX:
        return read_onnx_weights(path)[0]
    return read_weights(path)[0] if path.suffix.lower() == ".safetensors" else read_torch_weights(path)


def plain_keys(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors without the prefixes of parallel and Lightning training, see ``read_torch_weights``."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if any(key.startswith("vqvae.") for key in plain):
        plain = {key.removeprefix("vqvae."): value for key, value in plain.items() if not _TRAINING_ONLY.match(key)}
    return plain


def _weights(content: object, path: Path, parameter_set: ParameterSet | None) -> Mapping[Any, Any]:
    """The dictionary of tensors inside a file's content."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dictionary of weights")
    sets = {name: content[name] for name in ("params_ema", "params") if isinstance(content.get(name), Mapping)}
    if parameter_set and parameter_set not in sets:
        held = " and ".join(sets) or "one unnamed set"
        raise CheckpointError(f"{path} has no weights named {parameter_set}; it holds {held}")
    if sets:
        return sets[parameter_set or next(iter(sets))]
    inner = content.get("state_dict")
    return inner if isinstance(inner, Mapping) else content


def _is_weight(key: object, value: object) -> bool:
    import torch

    return isinstance(key, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided


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
