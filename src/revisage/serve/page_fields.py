"""Fields of the page, made from the controls that ``Controls`` declares."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr

from revisage.errors import InputError
from revisage.images import read_image
from revisage.images.decode import MAX_PIXELS
from revisage.restore import controls
from revisage.restore.controls import Controls, Option, declared

FIRST = "scale", "strength"
"""Controls of the first view; the others are folded away."""
LEFT_OUT = "face_strengths", "only_center_face"
"""The page offers the first beside each face; the second is another name of ``which``."""
SCALES = 1, 2, 4


def make_fields(*, first: bool) -> dict[str, Any]:
    """Make the fields of the first view, or all others, inside of the current block; by name of the control."""
    return {
        name: _make_field(name, entry.default, option)
        for name, entry, option in declared()
        if name not in LEFT_OUT and (name in FIRST) == first
    }


def make_controls(values: dict[str, Any], max_pixels: int = MAX_PIXELS) -> Controls:
    """Controls from the values of fields; what is empty has its default.

    Args:
        values: by name of the control.
        max_pixels: of a reference image.

    Raises:
        InputError: a value makes no sense, or a reference image cannot be read.
    """
    given: dict[str, Any] = {}
    for name, _, option in declared():
        value = values.get(name)
        if value in (None, "", []):
            continue
        if option.files:
            value = tuple(read_image(path, max_pixels=max_pixels) for path in value)
        elif option.parse:
            value = option.parse(value)
        elif isinstance(value, str) and not option.choices:
            value = _number(name, value)
        given[name] = value
    return controls.make_controls(given)


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError as error:
        raise InputError(f"{name.replace('_', ' ')} is a number, not {text!r}") from error


def _make_field(name: str, default: Any, option: Option) -> Any:
    label = (option.flag or name).replace("-", " ").replace("_", " ").capitalize()
    info = re.sub(r"--([\w-]+)", lambda found: found[1].replace("-", " ").capitalize(), option.help)
    texts: dict[str, Any] = {"label": label, "info": info}
    if name == "scale":
        choices = [(f"{one}\u00d7", one) for one in SCALES]
        return gr.Radio(choices, value=default, label=label, info="Size of the result")
    if option.files:
        return gr.File(
            label=f"{label}: {info[0].lower()}{info[1:]}", file_count="multiple", file_types=["image"], height=160
        )
    if option.choices:
        return gr.Radio(list(option.choices), value=default, **texts)
    if isinstance(default, bool):
        return gr.Checkbox(default, **texts)
    if option.parse:
        return gr.Textbox(default if isinstance(default, str) else "", **texts)
    if default is not None and option.min is not None and option.max is not None:
        return gr.Slider(option.min, option.max, default, step=0.05, buttons=[], **texts)
    return gr.Textbox("", placeholder="not set", **texts)  # gradio's number field shows 0 where there is none
