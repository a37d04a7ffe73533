"""The flags of the classic ``inference_gfpgan.py``, as those of ``revisage restore``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from revisage.errors import InputError

VERSIONS: Mapping[str, str] = {
    "1": "gfpgan-1",
    "1.2": "gfpgan-1.2",
    "1.3": "gfpgan-1.3",
    "1.4": "gfpgan-1.4",
    "RestoreFormer": "restoreformer",
}
"""Classic ``--version`` -> name of the model."""
BACKGROUNDS: Mapping[str, str] = {"realesrgan": "realesrgan-x2plus", "none": "lanczos"}
"""Classic ``--bg_upsampler`` in lower case -> ``--background``."""
LAYOUT = "--save-faces"
"""Outputs in the classic folders: restored_imgs, cropped_faces, restored_faces, cmp."""


@dataclass(frozen=True, slots=True)
class Flag:
    """The meaning of a classic flag today.

    Attributes:
        option: its present name; "" if its value now stands alone.
        value: classic value -> present value; None if the flag takes none.
    """

    option: str
    value: Callable[[str], str] | None = str


def _model(version: str) -> str:
    if version not in VERSIONS:
        raise InputError(f"unknown version {version!r}; choose one of {', '.join(VERSIONS)}, or any model by --model")
    return VERSIONS[version]


def _background(name: str) -> str:
    return BACKGROUNDS.get(name.lower(), name)


def _strength(weight: str) -> str:
    from revisage.compat.gfpganer import strength_of

    try:
        return f"{strength_of(float(weight)):g}"
    except ValueError as error:
        raise InputError(
            f"weight must be a number from 0 to 1, not {weight!r}; its present name is --strength"
        ) from error


FLAGS: Mapping[str, Flag] = {
    "input": Flag(""),
    "output": Flag("--output"),
    "version": Flag("--model", _model),
    "upscale": Flag("--scale"),
    "bg-upsampler": Flag("--background", _background),
    "bg-tile": Flag("--tile"),
    "suffix": Flag("--suffix"),
    "only-center-face": Flag("--only-center-face", None),
    "aligned": Flag("--aligned", None),
    "ext": Flag("--format"),
    "weight": Flag("--strength", _strength),
}
"""Every classic flag, with dashes for underscores."""
LETTERS: Mapping[str, str] = {"i": "input", "o": "output", "v": "version", "s": "upscale", "w": "weight"}
"""Classic letter -> flag."""


def modern(arguments: Sequence[str]) -> list[str]:
    """Command line in classic flags -> in present ones; what is no classic flag stays as it is.

    Only ``restore`` had a classic form. There all long options may be written with underscores, and the classic ones
    with a single dash, as the classic README did. Photos given by ``-i`` ask for the classic folders, too. InputError:
    a classic flag has no value, or one that means nothing; says the present name.
    """
    if not arguments or arguments[0] != "restore":
        return list(arguments)
    present = ["restore"]
    rest = iter(arguments[1:])
    classic_call = False
    for argument in rest:
        if argument == "--":
            return [*present, *([LAYOUT] if classic_call else []), argument, *rest]
        name, attached = _parsed(argument)
        flag = FLAGS.get(name)
        if flag is None or _is_verbose(argument, attached, arguments):
            present.append(_with_dashes(argument))
            continue
        classic_call = classic_call or name == "input"
        present += [part for part in (flag.option, *_values(argument, flag, attached, rest)) if part]
    return [*present, *([LAYOUT] if classic_call else [])]


def _is_verbose(argument: str, attached: str | None, arguments: Sequence[str]) -> bool:
    """Whether ``-v`` is that of today, and no version follows."""
    if not re.fullmatch(r"-[qv]*v[qv]*", argument):
        return False
    following = arguments[arguments.index(argument) + 1 :][:1]
    return attached is not None or not any(one in VERSIONS or re.fullmatch(r"[\d.]+", one) for one in following)


def _parsed(argument: str) -> tuple[str, str | None]:
    """Argument -> (name of the flag in long form, "" for none; the value in the same argument, if any)."""
    if not argument.startswith("-") or argument == "-":
        return "", None
    name, equals, value = argument.lstrip("-").partition("=")
    name = name.replace("_", "-")
    if argument.startswith("--") or name in FLAGS:
        return name, value if equals else None
    return LETTERS.get(name[:1], ""), argument[2:].removeprefix("=") or None


def _with_dashes(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _values(argument: str, flag: Flag, attached: str | None, rest: Iterator[str]) -> list[str]:
    """The value of a flag in its present form: from the same argument, or from the next; none if it takes none."""
    if flag.value is None:
        return []
    value = next(rest, None) if attached is None else attached
    if value is None:
        present = f"; its present name is {flag.option}" if flag.option not in ("", argument) else ""
        raise InputError(f"{argument} needs a value{present}")
    return [flag.value(value)]
