"""From a weights file to the network it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.models.architectures import ARCHITECTURES, network_class
from revisage.models.checkpoint import (
    ONNX,
    PROGRAM,
    Header,
    ParameterSet,
    check_finite,
    check_fit,
    read_onnx_weights,
    read_weights,
)
from revisage.models.detect_architecture import detect_architecture, find_networks, lookalikes, rename_old_keys
from revisage.models.pt2_file import read_program_weights
from revisage.models.torch_pickle import unpickle

SKIPPED_INIT_FNS = (
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.div,
    torch.Tensor.__truediv__,
)
"""Initialisation of weights: without memory these do nothing but load the compiler, for seconds."""
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
_MAX_CALLS = 40_000
"""Tensors that a constructor may ask for, initialise or divide; the largest published network needs 9744 of these."""


@dataclass(frozen=True)
class _Candidate:
    """Weights in a file.

    Attributes:
        name: where they lie: keys of the dictionaries around them, and the prefix of their own keys.
        state: without the prefix.
    """

    name: str
    architecture: str | None
    state: dict[str, torch.Tensor]

    @property
    def is_averaged(self) -> bool:
        return "ema" in self.name.lower()


def read_checkpoint(
    path: Path, architecture: str | None = None, parameter_set: ParameterSet | None = None
) -> tuple[dict[str, torch.Tensor], Header]:
    """Read a weights file and identify its network -> (state dict on the CPU; header, inferred if the file has none).

    Arguments as for :func:`read_state`; ``architecture`` decides between networks with the same keys, see
    ``detect_architecture``, and between several in one file.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged, unsafe, of no known network, of several, or of another than asked for.
    """
    if architecture and architecture not in ARCHITECTURES:
        raise CheckpointError(f"there is no architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    content, header = _read_content(path)
    if header is None:
        state = _select(content, path, parameter_set, architecture)
        return state, detect_architecture({k: tuple(v.shape) for k, v in state.items()}, str(path), architecture)
    if parameter_set:
        raise CheckpointError(f"{path} has no weights named {parameter_set}; it holds one unnamed set")
    if header.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(
            f"{path} names no known architecture in its header ({header.architecture!r}; known: {known})"
        )
    if architecture not in (None, header.architecture):
        raise CheckpointError(
            f"{path} holds weights of a {header.architecture}, as its header says, not of a {architecture}"
        )
    return cast("dict[str, torch.Tensor]", content), header


def read_state(path: Path, parameter_set: ParameterSet | None = None) -> dict[str, torch.Tensor]:
    """Read the weights of any file -> flat state dict on the CPU; large files are mapped, not read.

    Weights are found by structure: in any nesting of dictionaries and lists, behind any prefix of their keys. Optimizer
    states, objects beside the weights and, where there is anything else, discriminators are passed over.

    Args:
        path: safetensors, ONNX with weights by name, ``.pt2`` of ``revisage export``, or written by ``torch.save``.
        parameter_set: which of two sets; None: the averaged one ("ema" in its name) where there is one.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged or unsafe; no weights, or several; or not the set asked for.
    """
    content, header = _read_content(path)
    if header is not None and parameter_set is None:
        return cast("dict[str, torch.Tensor]", content)
    return _select(content, path, parameter_set)


def _read_content(path: Path) -> tuple[object, Header | None]:
    """Content of a file, whose kind its first bytes tell."""
    if not path.is_file():
        raise MissingWeightsError(f"no weights file at {path}")
    with path.open("rb") as file:
        start = file.read(9)
    suffix = path.suffix.lower()
    if suffix == PROGRAM:
        return read_program_weights(path)
    if suffix == ONNX or (start[:1] == b"\x08" and start[8:] != b"{"):  # a length may begin with that byte, too
        return read_onnx_weights(path)
    if start[8:] == b"{" or (suffix == ".safetensors" and not start.startswith((b"PK", b"\x80"))):
        return read_weights(path)
    if not start.startswith((b"PK", b"\x80")):
        raise CheckpointError(f"{path} is not a whole PyTorch file, nor safetensors or ONNX")
    return unpickle(path, stand_ins=True), None


def _select(
    content: object, path: Path, parameter_set: ParameterSet | None, architecture: str | None = None
) -> dict[str, torch.Tensor]:
    """The only weights in a file's content that can be meant."""
    found = [candidate for name, state in _state_dicts(content) for candidate in _candidates(name, state)]
    found = [one for one in found if one.architecture] or found
    if not found:
        held = "" if isinstance(content, Mapping) else f": it is a {type(content).__name__}, not a dictionary"
        raise CheckpointError(f"{path} holds no weights{held}")
    if parameter_set:
        chosen = [one for one in found if one.name and one.is_averaged == (parameter_set == "params_ema")]
        if not chosen:
            held = " and ".join(one.name for one in found if one.name) or "one unnamed set"
            raise CheckpointError(f"{path} has no weights named {parameter_set}; it holds {held}")
        found = chosen
    if architecture:
        found = [one for one in found if one.architecture in lookalikes(architecture)] or found
    averaged = {one.architecture for one in found if one.is_averaged}
    found = [one for one in found if one.is_averaged or one.architecture not in averaged]
    found = [one for one in found if not _is_discriminator(one)] or found
    if len(found) > 1:
        told = ", ".join(f"{one.name or 'the whole'} ({one.architecture or 'unknown network'})" for one in found[:5])
        raise CheckpointError(f"{path} holds several weights: {told}; say which by --architecture, or keep one only")
    state = found[0].state
    for key, value in state.items():
        if value.nbytes > value.untyped_storage().nbytes():  # one number that is repeated without end, say
            raise CheckpointError(f"{path} is refused: it holds fewer numbers than {key} has")
    return state


def _is_discriminator(candidate: _Candidate) -> bool:
    return bool(candidate.architecture) and ARCHITECTURES[str(candidate.architecture)].role == "discriminator"


def _state_dicts(content: object) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """All dictionaries of tensors in a file's content, with the keys around them."""
    waiting, seen = [("", content)], set[int]()
    while waiting:
        at, value = waiting.pop()
        if id(value) in seen or not isinstance(value, Mapping | list | tuple):
            continue
        seen.add(id(value))
        inner = list(value.items() if isinstance(value, Mapping) else enumerate(value))
        waiting += [(f"{at}.{key}" if at else str(key), child) for key, child in reversed(inner)]
        tensors = {
            str(key): child.detach()
            for key, child in inner
            if isinstance(key, str) and isinstance(child, torch.Tensor) and child.layout == torch.strided
        }
        if tensors and "optim" not in at:
            yield at, tensors


def _candidates(name: str, state: dict[str, torch.Tensor]) -> Iterator[_Candidate]:
    """The known networks in a dictionary of tensors; the whole of it if there is none."""
    renamed = rename_old_keys(state)
    networks = find_networks(renamed.values())
    if not networks:
        yield _Candidate(name, None, plain_keys(state))
    for prefix, architecture in networks.items():
        part = {new.removeprefix(prefix): state[old] for old, new in renamed.items() if new.startswith(prefix)}
        yield _Candidate(" ".join(filter(None, (name, prefix))), architecture, plain_keys(part))


def plain_keys(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave out the prefixes of parallel, compiled and Lightning training, and what no network has as a weight."""
    plain = {_WRAPPERS.sub("", key): value for key, value in state.items()}
    if any(key.startswith("vqvae.") for key in plain):
        plain = {key.removeprefix("vqvae."): value for key, value in plain.items() if not key.startswith("loss.")}
    return {key: value for key, value in plain.items() if not key.endswith("quantize.utility_counter")}


class _Uninitialised(TorchFunctionMode):
    """Within, new tensors are not initialised; and a header cannot ask for a network of a billion layers."""

    calls = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.calls += 1
        if self.calls > _MAX_CALLS:
            raise ValueError("it would have more layers than any network")
        if func in SKIPPED_INIT_FNS:
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


def construct_empty(header: Header, source: str) -> nn.Module:
    """Construct the network of a header on the device "meta": it has keys and shapes, but no weights yet.

    CheckpointError: the constructor refuses the arguments.
    """
    gradients = torch.is_grad_enabled()
    try:
        with torch.device("meta"), _Uninitialised():
            return network_class(header.architecture)(**header.arguments)
    # Arguments that a header makes up can be anything, and so can what constructors say about them.
    except Exception as error:
        raise CheckpointError(f"{source}: {header.architecture} cannot be built as its header says: {error}") from error
    finally:  # a refusal may have come while gradients were switched off, and while they were switched on again
        torch.set_grad_enabled(gradients)


def build(path: Path, architecture: str | None = None) -> tuple[nn.Module, Header]:
    """Build the network of a weights file -> (network in eval mode, float32, on the CPU; header).

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: as ``read_checkpoint``; or tensors that do not fit the network, or hold NaN or infinities.
    """
    state, header = read_checkpoint(path, architecture)
    network = construct_empty(header, str(path))
    check_fit(network, state, str(path))
    check_finite(state, str(path))
    network.load_state_dict(state, assign=True)  # the file's own memory: nothing is copied
    return network.float().eval().requires_grad_(False), header
