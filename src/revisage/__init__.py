"""Restores the faces in a photo, offline.

::

    import revisage

    restorer = revisage.load("embedded")
    result = restorer(revisage.read_image("photo.jpg"), scale=2, strength=1.0)
    revisage.write_image("restored.jpg", result.image, like="photo.jpg")

Everything below is loaded when it is first used: ``import revisage`` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revisage.errors import (
        CheckpointError,
        DeviceError,
        DownloadError,
        ImageError,
        InputError,
        MissingWeightsError,
        OutputError,
        RecipeError,
        RevisageError,
        TrainingError,
        UnknownModelError,
        WeightsError,
    )
    from revisage.faces.selection import Selection
    from revisage.files.images import read_image, read_profile, write_image
    from revisage.pipeline import Restorer
    from revisage.types import AlignedFace, Face, FaceStatus, Image, Restoration, RestoredFace
    from revisage.zoo import load

    __version__: str

__all__ = [
    "AlignedFace",
    "CheckpointError",
    "DeviceError",
    "DownloadError",
    "Face",
    "FaceStatus",
    "Image",
    "ImageError",
    "InputError",
    "MissingWeightsError",
    "OutputError",
    "RecipeError",
    "Restoration",
    "RestoredFace",
    "Restorer",
    "RevisageError",
    "Selection",
    "TrainingError",
    "UnknownModelError",
    "WeightsError",
    "__version__",
    "load",
    "read_image",
    "read_profile",
    "write_image",
]

_MODULES = {
    "load": "zoo",
    "Restorer": "pipeline",
    "Selection": "faces.selection",
    "read_image": "files.images",
    "read_profile": "files.images",
    "write_image": "files.images",
    **dict.fromkeys(("AlignedFace", "Face", "FaceStatus", "Image", "Restoration", "RestoredFace"), "types"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'revisage' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value = version("revisage")
    else:
        value = getattr(import_module(f"revisage.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
