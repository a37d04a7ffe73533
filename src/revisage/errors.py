"""Everything that revisage raises on purpose.

::

    RevisageError                  catch this to catch all of them
    ├── InputError                 what was given cannot be used
    │   ├── ImageError             an image cannot be read (not an image, truncated, too large, ...)
    │   └── RecipeError            a training recipe is wrong
    ├── WeightsError               weights cannot be had or used
    │   ├── UnknownModelError      no model or file of that name
    │   ├── CheckpointError        a weight file is unsafe, damaged or does not fit its network
    │   │   └── UnknownNetworkError    it holds weights of a network that is not known here
    │   ├── MissingWeightsError    a file that has to be brought along is not there
    │   └── DownloadError          a file cannot be fetched from the network
    ├── OutputError                a result cannot be written (disk full, no permission, exists already)
    ├── DeviceError                the asked-for device or number format is not to be had here
    ├── TrainingError              a training run cannot start or go on
    └── CancelledError             a progress callback has stopped a run; the same call resumes it

Messages are one line, name the file or value at fault and say what to do where something can be done.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar, cast
from unicodedata import category

Made = TypeVar("Made", bound=Callable[..., Any])

_log = logging.getLogger(__name__)
_LONGEST = 2000


class RevisageError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one line, and made so: what files bring into it (names of keys, say) may hold line breaks, half
            characters that no terminal prints, commands to the terminal, or a million letters.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(to_one_line(str(message)))


def to_one_line(message: str) -> str:
    """Escape what a terminal does not print as one line, and shorten what is very long."""
    message = _shortened(message)
    if message.isprintable():
        return message
    return _shortened("".join(c if c.isprintable() or category(c) == "Zs" else ascii(c)[1:-1] for c in message))


def _shortened(message: str) -> str:
    half = _LONGEST // 2
    return message if len(message) <= _LONGEST else f"{message[:half]} ... {message[-half:]}"


class InputError(RevisageError):
    """An input cannot be used."""


class ImageError(InputError):
    """An image cannot be read or has a form that cannot be restored."""


class RecipeError(InputError):
    """A training recipe has an unknown key, a wrong value or a missing file."""


class WeightsError(RevisageError):
    """Weights cannot be had or used."""


class UnknownModelError(WeightsError):
    """Neither a known model name nor a weight file."""


class CheckpointError(WeightsError):
    """A weight file is unsafe, damaged, or does not fit the network."""


class UnknownNetworkError(CheckpointError):
    """A weight file holds weights of a network that is not known here."""


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


class CancelledError(RevisageError):
    """Raised by a progress callback to stop a run. Finished files stay, and the same call resumes."""

    def __init__(self, message: object = "cancelled; the same call resumes") -> None:
        super().__init__(message)


def fault_of(path: Path, error: Exception) -> str:
    """The error of a photo, in one line that names it."""
    match error:
        case RevisageError():
            message = str(error)
        case MemoryError():
            message = "not enough memory"
        case _:
            _log.debug("unexpected error with %s", path, exc_info=error)
            message = " ".join(f"{type(error).__name__}: {error}".split())
    return message if str(path) in message else f"{path}: {message}"


def did_you_mean(name: str, known: Iterable[str], meant: Mapping[str, str] | None = None) -> str:
    """``; did you mean this or that?``, or nothing if no known name is near.

    Names that mean the same come first, then those that are spelt alike but for case, punctuation and a "v" before a
    number, then those of nearly the same spelling. ``meant`` has words of other tools, without case and punctuation.
    """
    spelt = {_plain(one): one for one in known}
    wanted = _plain(name)
    if same := (meant or {}).get(wanted) or spelt.get(wanted):
        return f"; did you mean {same}?"
    near = [spelt[one] for one in get_close_matches(wanted, spelt, n=2, cutoff=0.7)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def near_or_known(
    name: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.5, all_are: str = "known:"
) -> str:
    """``did you mean this or that?``, or all names there are, after ``all_are``, if none is nearly spelt so.

    Suggestions are at most so many, and at least so like the name, as ``difflib.get_close_matches`` measures it.
    """
    names = list(known)
    near = get_close_matches(name, names, n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else f"{all_are} {', '.join(names) or 'none'}"


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z])v(?=\d)|[^a-z0-9+]", "", name.lower())


def suggest_keywords(meant: Mapping[str, str]) -> Callable[[Made], Made]:
    """Make a function or class refuse unknown keywords with an InputError that suggests the right one.

    For ``meant`` see :func:`did_you_mean`.
    """

    def decorate(made: Made) -> Made:
        function: Any = made.__init__ if isinstance(made, type) else made
        known = [name for name in signature(function).parameters if name != "self"]

        @wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            for name in keywords:
                if name not in known:
                    raise InputError(f"unknown option {name!r}{did_you_mean(name, known, meant)}")
            return function(*args, **keywords)

        if isinstance(made, type):
            setattr(made, "__init__", checked)  # noqa: B010 (its type is another)
            return cast("Made", made)
        return cast("Made", checked)

    return decorate
