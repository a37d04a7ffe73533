"""Weights on disk as others keep them: ``.pth`` and ``.ckpt``, pickles of PyTorch, read without running any code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.files import atomic_write
from revisage.models.checkpoint import read_weights
from revisage.models.torch_pickle import unpickle

if TYPE_CHECKING:
    import torch

Choice = Literal["params_ema", "params"]

_TRAINERS = ("pytorch_lightning.", "lightning.", "omegaconf.")
"""Packages whose objects lie beside the weights in ``.ckpt`` files: notes of a training run, not looked at."""

_TRAINING_ONLY = re.compile(r"loss\.|vqvae\.quantize\.utility_counter$")
"""Keys of a Lightning module that wraps a RestoreFormer which are no weights of the network."""


def read_legacy(path: Path, choice: Choice | None = None) -> dict[str, torch.Tensor]:
    """Read the weights of a PyTorch file -> flat state dict on the CPU; large files are mapped, not read.

    Understood are ``{"params_ema": weights, "params": weights}``, either alone, ``{"state_dict": weights, ...}`` and
    plain state dicts. Keys lose a leading ``module.`` (of parallel training); those of a Lightning module that wraps a
    network as ``vqvae`` lose that; its losses (``loss.``) and its count of dictionary entries in use are dropped.

    Args:
        path: a file that ``torch.save`` wrote, in its present or its older form.
        choice: which of two sets; None: the averaged one, "params_ema", where there is one.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: not a whole PyTorch file, or one that holds anything but tensors under names (such a file is
            never unpickled), or not the set asked for.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no weight file at {path}")
    weights = _weights(unpickle(path, passed_over=_TRAINERS), path, choice)
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


def save_legacy(
    path: Path,
    state: Mapping[str, torch.Tensor],
    entry: Choice | None = "params_ema",
    dtype: torch.dtype | None = None,
) -> None:
    """Write a state dict as the published files are, atomically.

    Args:
        path: a ``.pth`` file.
        state: official key -> tensor; tensors may live on any device.
        entry: the name the state dict goes under; None: the file is the state dict itself.
        dtype: floating-point tensors are stored in this format; None keeps theirs.

    Raises:
        OutputError: the file cannot be written; an earlier one is intact.
    """
    import torch

    tensors = {
        key: value.detach().to("cpu", dtype if dtype and value.is_floating_point() else value.dtype).clone()
        for key, value in state.items()  # cloned: a view would drag all of its storage into the file
    }
    with atomic_write(path) as temporary:
        torch.save({entry: tensors} if entry else tensors, temporary)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a ``.safetensors`` file, or of one that ``torch.save`` wrote, see ``read_legacy``.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: it is damaged, or holds anything but tensors under names.
    """
    return read_weights(path)[0] if path.suffix.lower() == ".safetensors" else read_legacy(path)


def plain_keys(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors without what parallel and Lightning training put around a network, see ``read_legacy``."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if any(key.startswith("vqvae.") for key in plain):
        plain = {key.removeprefix("vqvae."): value for key, value in plain.items() if not _TRAINING_ONLY.match(key)}
    return plain


def _weights(content: object, path: Path, choice: Choice | None) -> Mapping[Any, Any]:
    """The dictionary of tensors inside a file's content."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dictionary of weights")
    sets = {name: content[name] for name in ("params_ema", "params") if isinstance(content.get(name), Mapping)}
    if choice and choice not in sets:
        held = " and ".join(sets) or "one unnamed set"
        raise CheckpointError(f"{path} has no weights named {choice}; it holds {held}")
    if sets:
        return sets[choice or next(iter(sets))]
    inner = content.get("state_dict")
    return inner if isinstance(inner, Mapping) else content


def _is_weight(key: object, value: object) -> bool:
    import torch

    return isinstance(key, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided
