"""From a weight file to the network it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from revisage.errors import CheckpointError
from revisage.models.architectures import NETWORKS, recognise
from revisage.models.checkpoint import METADATA_KEY, Header, check_finite, check_fit, read_weights
from revisage.models.legacy import Choice, plain_keys, read_legacy
from revisage.models.onnx_file import read_onnx, stored_weights

LEGACY = (".pth", ".pt", ".ckpt")
ONNX = ".onnx"
SUFFIXES = (".safetensors", *LEGACY, ONNX)
"""What weight files are called."""
SIDES = range(16, 4097)
"""Sides of aligned faces that a weight file may ask for: crops of more would fill the memory."""
_MOST_CALLS = 40_000
"""Tensors that a constructor may ask for, initialise or divide; the largest published network needs 9744 of these."""


def identify(
    path: Path, architecture: str | None = None, choice: Choice | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a weight file and say what it holds.

    Args:
        path: a ``.safetensors`` file or one of ``LEGACY``.
        architecture: decides where several networks have the same keys, see ``recognise``.
        choice: which of two sets of weights in one file, see ``read_legacy``.

    Returns:
        state dict on the CPU; configuration (``architecture``, ``arguments``, ``size``, ...), from the file's header
        if it has one, otherwise recognised.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged, unsafe, of no known network, or of another than asked for.
    """
    if architecture and architecture not in NETWORKS:
        raise CheckpointError(f"there is no architecture {architecture!r}; known: {', '.join(NETWORKS)}")
    if path.suffix.lower() == ONNX:
        state, config = read_exported(path)
    elif path.suffix.lower() in LEGACY:
        state, config = read_legacy(path, choice), {}
    else:
        state, config = read_weights(path)
        if choice:
            raise CheckpointError(f"{path} has no weights named {choice}; it holds one unnamed set")
    if "architecture" not in config:
        state = plain_keys(state)
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        return state, config | recognise(shapes, str(path), architecture)
    named = str(config["architecture"])
    if named not in NETWORKS:
        raise CheckpointError(
            f"{path} names no known architecture in its header ({named!r}; known: {', '.join(NETWORKS)})"
        )
    if architecture not in (None, named):
        raise CheckpointError(f"{path} holds weights of a {named}, as its header says, not of a {architecture}")
    if not isinstance(config.get("arguments", {}), dict):
        raise CheckpointError(f"{path}: the arguments in its header are no JSON object")
    if config.get("size", SIDES[0]) not in SIDES:
        raise CheckpointError(f"{path}: faces have {SIDES[0]} to {SIDES[-1]} pixels, not {config['size']!r}")
    return state, config


def read_exported(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the weights of an ``.onnx`` file that keeps them by name -> (state dict on the CPU, configuration).

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: it is no ONNX file, damaged, or keeps no weights by name.
    """
    file = read_onnx(path)
    state = {key: torch.from_numpy(value) for key, value in stored_weights(file, str(path)).items()}
    for key in [key for key in state if key.endswith(".running_var")]:  # counts of training, which no graph needs
        state[key.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    header = Header.from_json(file.metadata.get(METADATA_KEY, "{}"), str(path))
    return state, json.loads(header.to_json()) if header else {}


_IN_VAIN = (
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.div,
    torch.Tensor.__truediv__,
)
"""What initialises weights; without memory it does nothing but load the compiler, for seconds."""


class _Uninitialised(TorchFunctionMode):
    """Within, new tensors are not initialised; and a header cannot ask for a network of a billion layers."""

    calls = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise ValueError("it would have more layers than any network")
        if func in _IN_VAIN:
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


def construct_empty(config: dict[str, Any], source: str) -> nn.Module:
    """The network of a configuration on the device "meta": it has keys and shapes, but no weights yet.

    Raises:
        CheckpointError: the constructor refuses the arguments.
    """
    architecture = config["architecture"]
    gradients = torch.is_grad_enabled()
    try:
        with torch.device("meta"), _Uninitialised():
            return NETWORKS[architecture](**config.get("arguments", {}))
    # Arguments that a header makes up can be anything, and so can what constructors say about them.
    except Exception as error:
        raise CheckpointError(f"{source}: {architecture} cannot be built as its header says: {error}") from error
    finally:  # a refusal may have come while gradients were switched off, and while they were switched on again
        torch.set_grad_enabled(gradients)


def build(path: Path, architecture: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """Weight file -> (network in eval mode, float32, on the CPU; configuration, see ``identify``).

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: as ``identify``; or tensors that do not fit the network, or hold NaN or infinities.
    """
    state, config = identify(path, architecture)
    network = construct_empty(config, str(path))
    check_fit(network, state, str(path))
    check_finite(state, str(path))
    network.load_state_dict(state, assign=True)  # the file's own memory: nothing is copied
    return network.float().eval().requires_grad_(False), config
