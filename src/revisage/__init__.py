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
        CancelledError,
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
    from revisage.images import read_image, read_profile, write_image
    from revisage.loading import load
    from revisage.process import tune_process
    from revisage.restore.controls import Selection
    from revisage.restore.pipeline import Restorer
    from revisage.types import AlignedFace, Face, FaceStatus, Image, Restoration, RestoredFace

    __version__: str

__all__ = [
    "AlignedFace",
    "CancelledError",
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
    "tune_process",
    "write_image",
]

_MODULES = {
    "load": "loading",
    "tune_process": "process",
    "Restorer": "restore.pipeline",
    "Selection": "restore.controls",
    "read_image": "images",
    "read_profile": "images",
    "write_image": "images",
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
