"""The classic ways to say which network: an ``arch`` and a path, a name or an address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from revisage.errors import InputError, UnknownModelError
from revisage.models.registry import MODELS

ARCHITECTURES: Mapping[str, str | None] = {
    "clean": "GFPGANv1Clean",
    "bilinear": "GFPGANBilinear",
    "original": "GFPGANv1",
    "RestoreFormer": "RestoreFormer",
    "RestoreFormer++": "RestoreFormer",
    "auto": None,
}
"""Classic ``arch`` -> network class; "auto", which is new, takes what the file holds."""


def model_of(model_path: str | Path, arch: str) -> tuple[str | Path, str | None]:
    """What ``revisage.load`` takes for a classic model path and ``arch``.

    Args:
        model_path: a weights file, a model name, or the address at which one of its models is published.
        arch: a key of ``ARCHITECTURES``. Names do not ask for it: the registry has it.

    Returns:
        model and architecture.

    Raises:
        InputError: there is no such ``arch``, or the model at that address is of another.
        UnknownModelError: no registered model is published under the last part of the address.
    """
    if arch not in ARCHITECTURES:
        raise InputError(f"unknown arch {arch!r}; choose one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[arch]
    if str(model_path) in MODELS:
        return model_path, None
    address = urlsplit(str(model_path))
    if address.scheme not in ("http", "https"):
        return model_path, architecture
    name = _published_as(unquote(address.path).rpartition("/")[2], str(model_path))
    if architecture not in (None, MODELS[name].architecture):
        raise InputError(f"{name} is a {MODELS[name].architecture}, not of arch {arch!r}, which is a {architecture}")
    return name, None


def _published_as(file: str, address: str) -> str:
    """Name of the model whose file is called so at one of its addresses."""
    for name, spec in MODELS.items():
        if file in {unquote(url).rpartition("/")[2] for url in spec.urls}:
            return name
    raise UnknownModelError(f"no known model is published as {file!r}; download {address} and give the file's path")
