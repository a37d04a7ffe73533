"""From a weights file to the network it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from revisage.errors import CheckpointError
from revisage.models.architectures import ARCHITECTURES, detect_architecture, network_class
from revisage.models.checkpoint import (
    ONNX,
    TORCH_SUFFIXES,
    Header,
    ParameterSet,
    check_finite,
    check_fit,
    read_onnx_weights,
    read_weights,
)
from revisage.models.torch_pickle import plain_keys, read_torch_weights

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
_MAX_CALLS = 40_000
"""Tensors that a constructor may ask for, initialise or divide; the largest published network needs 9744 of these."""


def read_checkpoint(
    path: Path, architecture: str | None = None, parameter_set: ParameterSet | None = None
) -> tuple[dict[str, torch.Tensor], Header]:
    """Read a weights file and identify its network.

    Args:
        path: one of ``SUFFIXES``.
        architecture: decides between networks with the same keys, see ``detect_architecture``.
        parameter_set: which of two sets of weights in one file, see ``read_torch_weights``.

    Returns:
        state dict on the CPU; header of the file if it has one, otherwise inferred from keys and shapes.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged, unsafe, of no known network, or of another than asked for.
    """
    if architecture and architecture not in ARCHITECTURES:
        raise CheckpointError(f"there is no architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    if path.suffix.lower() == ONNX:
        state, header = read_onnx_weights(path)
    elif path.suffix.lower() in TORCH_SUFFIXES:
        state, header = read_torch_weights(path, parameter_set), None
    else:
        state, header = read_weights(path)
        if parameter_set:
            raise CheckpointError(f"{path} has no weights named {parameter_set}; it holds one unnamed set")
    if header is None:
        state = plain_keys(state)
        return state, detect_architecture({k: tuple(v.shape) for k, v in state.items()}, str(path), architecture)
    if header.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(
            f"{path} names no known architecture in its header ({header.architecture!r}; known: {known})"
        )
    if architecture not in (None, header.architecture):
        raise CheckpointError(
            f"{path} holds weights of a {header.architecture}, as its header says, not of a {architecture}"
        )
    return state, header


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

    Raises:
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
