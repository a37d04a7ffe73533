"""Recognize weights: which network of ``ARCHITECTURES`` a state dict belongs to, by its keys and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from revisage.errors import CheckpointError, UnknownNetworkError
from revisage.models.architectures import ARCHITECTURES, Shapes
from revisage.models.checkpoint import Header

_ESRGAN_KEYS = (
    (r"(?:model\.1\.sub|RRDB_trunk)\.(\d+)\.RDB(\d)\.conv(\d)(?:\.0)?", r"body.\1.rdb\2.conv\3"),
    (r"model\.0", "conv_first"),
    (r"(?:model\.1\.sub\.\d+|trunk_conv)", "conv_body"),
    (r"(?:model\.3|upconv1)", "conv_up1"),
    (r"(?:model\.6|upconv2)", "conv_up2"),
    (r"(?:model\.8|HRconv)", "conv_hr"),
    (r"model\.10", "conv_last"),
)
"""ESRGAN's older names -> RRDBNet's."""


def lookalikes(architecture: str) -> list[str]:
    """Names of ``ARCHITECTURES`` with the same keys and shapes, the given one among them; the default first."""
    patterns = ARCHITECTURES[architecture].key_patterns
    return [name for name, row in ARCHITECTURES.items() if row.key_patterns == patterns]


def detect_architecture(shapes: Shapes, source: str, architecture: str | None = None) -> Header:
    """Find the network that weights belong to.

    Args:
        shapes: key -> shape of all tensors.
        source: what to call the origin in an error, a file name say.
        architecture: a name of ``ARCHITECTURES``. It decides between lookalikes: GFPGANv1 and GFPGANBilinear,
            StyleGAN2Generator and StyleGAN2GeneratorBilinear, RestoreFormer and VQVAEGAN. None means the former of
            each two; only of these are there published files.

    Raises:
        CheckpointError: of no known network, of another than asked for, or with keys missing that would tell its sizes.
    """
    match = find_networks(shapes).get("")
    if match is None:
        shown = ", ".join(list(shapes)[:3])
        raise UnknownNetworkError(f"{source} holds weights of no known network (its keys begin with {shown})")
    names = lookalikes(match)
    name = architecture or match
    if name not in names:
        raise CheckpointError(f"{source} holds weights of a {' or '.join(names)}, not of a {name}")
    row = ARCHITECTURES[name]
    try:
        arguments = row.infer_arguments(shapes)
    except KeyError as error:
        raise CheckpointError(f"{source} looks like a {name} but lacks {error.args[0]}") from error
    except (IndexError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{source} looks like a {name}, but no sizes fit its tensors' shapes") from error
    return Header(name, arguments, arguments["out_size"] if row.size == "out_size" else row.size)


def find_networks(keys: Iterable[str]) -> dict[str, str]:
    """Find known networks among the keys of a state dict, as published or behind any prefixes that end in a dot.

    Returns prefix -> name of ``ARCHITECTURES``, the first of lookalikes; parts of networks that are found are left out.
    """
    names = list(keys)
    found: dict[str, str] = {}
    for name, row in ARCHITECTURES.items():
        matches = [{_prefix(pattern, key) for key in names} for pattern in row.key_patterns]
        for prefix in set[str | None].intersection(*matches) - {None}:
            found.setdefault(str(prefix), name)
    return {
        prefix: name
        for prefix, name in found.items()
        if not any(prefix != outer and prefix.startswith(outer) for outer in found)
    }


def _prefix(pattern: str, key: str) -> str | None:
    match = re.fullmatch(rf"((?:.*\.)?){pattern}", key)
    return match and match[1]


def rename_old_keys(keys: Iterable[str]) -> dict[str, str]:
    """Key -> key of ``RRDBNet``, for ESRGAN's two older layouts; other keys stay."""
    names = list(keys)
    if not any(re.search(r"\.RDB\d\.conv\d\.", key) for key in names):
        return {key: key for key in names}
    return {key: _renamed_esrgan(key) for key in names}


def _renamed_esrgan(key: str) -> str:
    for pattern, replacement in _ESRGAN_KEYS:
        if re.fullmatch(rf"(?:.*\.)?{pattern}\.(?:weight|bias)", key):
            return re.sub(rf"{pattern}(?=\.(?:weight|bias)$)", replacement, key)
    return key
