"""Everything that revisage raises on purpose.

::

    RevisageError                  catch this to catch all of them
    ├── InputError                 what was given cannot be used
    │   ├── ImageError             a picture cannot be read (not an image, truncated, too large, ...)
    │   └── RecipeError            a training recipe is wrong
    ├── WeightsError               weights cannot be had or used
    │   ├── UnknownModelError      no model or file of that name
    │   ├── CheckpointError        a weight file is unsafe, damaged or does not fit its network
    │   ├── MissingWeightsError    a file that has to be brought along is not there
    │   └── DownloadError          a file cannot be fetched from the network
    ├── OutputError                a result cannot be written (disk full, no permission, exists already)
    ├── DeviceError                the asked-for device or number format is not to be had here
    └── TrainingError              a training run cannot start or go on

Messages are one line, name the file or value at fault and say what to do where something can be done.
"""

from __future__ import annotations

import logging
from pathlib import Path
from unicodedata import category

_log = logging.getLogger(__name__)
_LONGEST = 2000


class RevisageError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one line, and made so: what files bring into it (names of keys, say) may hold line breaks, half
            characters that no terminal prints, commands to the terminal, or a million letters.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_one_line(str(message)))


def _one_line(message: str) -> str:
    message = _shortened(message)
    if message.isprintable():
        return message
    return _shortened("".join(c if c.isprintable() or category(c) == "Zs" else ascii(c)[1:-1] for c in message))


def _shortened(message: str) -> str:
    half = _LONGEST // 2
    return message if len(message) <= _LONGEST else f"{message[:half]} ... {message[-half:]}"


class InputError(RevisageError):
    """What was given cannot be used."""


class ImageError(InputError):
    """A picture cannot be read or has a form that cannot be restored."""


class RecipeError(InputError):
    """A training recipe has an unknown key, a wrong value or a missing file."""


class WeightsError(RevisageError):
    """Weights cannot be had or used."""


class UnknownModelError(WeightsError):
    """Neither a known model name nor a weight file."""


class CheckpointError(WeightsError):
    """A weight file is unsafe, damaged, or does not fit the network."""


class MissingWeightsError(WeightsError):
    """A weight file that the user has to bring is not there."""


class DownloadError(WeightsError):
    """A weight file cannot be fetched from the network."""


class OutputError(RevisageError):
    """A result cannot be written."""


class DeviceError(RevisageError):
    """The asked-for device or number format is not available."""


class TrainingError(RevisageError):
    """A training run cannot start or cannot go on."""


def fault_of(path: Path, error: Exception) -> str:
    """What went wrong with a photo, in one line that names it."""
    match error:
        case RevisageError():
            message = str(error)
        case MemoryError():
            message = "not enough memory"
        case _:
            _log.debug("unexpected error with %s", path, exc_info=error)
            message = " ".join(f"{type(error).__name__}: {error}".split())
    return message if str(path) in message else f"{path}: {message}"
