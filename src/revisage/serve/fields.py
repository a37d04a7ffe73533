"""Fields of requests, made from the controls that ``Controls`` declares; in the query or in the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from revisage.errors import InputError
from revisage.images import WRITABLE
from revisage.restore.controls import Controls, Option, declared, make_controls
from revisage.types import Image

FORMATS = tuple(WRITABLE.split(", "))


class _Shared(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str = Field(default="", description="Model: a name of `/v1/models` (default: the first).")


class _Restore(_Shared):
    metadata: Literal["keep", "strip"] = Field(
        default="keep", description="EXIF, XMP, IPTC and texts of the photo: keep or strip. Colors are kept either way."
    )
    format: Literal[FORMATS] | None = Field(  # pyright: ignore[reportInvalidTypeForm]
        default=None, description="Format of the result (default: what `Accept` names, else that of the photo)."
    )
    include: Literal["", "image", "faces", "image,faces"] = Field(
        default="", description="Images in a JSON reply, as base64: the result, each face before and after, or both."
    )


class _Detect(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _field_name(name: str, option: Option) -> str:
    """Like the command line's option, with underscores."""
    return option.flag.replace("-", "_") or name


def _field(default: Any, option: Option) -> tuple[Any, Any]:
    """Type and field of a control, as pydantic takes them; not given, it is None."""
    kind: Any = float
    if option.choices:
        kind = Literal[option.choices]
    elif option.parse:
        kind = str
    elif isinstance(default, bool):
        kind = bool
    shown = "" if default in (None, False, float("inf")) else f" Default: {default}."
    return kind | None, Field(default=None, description=option.help + shown, ge=option.min, le=option.max)


def _make(name: str, base: type[BaseModel], *controls: str) -> Any:
    made: dict[str, Any] = {
        _field_name(one, option): _field(entry.default, option)
        for one, entry, option in declared()
        if not option.files and (one in controls or not controls)
    }
    return create_model(name, __base__=base, **made)


if TYPE_CHECKING:
    RestoreFields = _Restore
    JobFields = _Restore
    DetectFields = _Detect
else:
    RestoreFields = _make("RestoreFields", _Restore)
    JobFields = _make("JobFields", _Shared)
    DetectFields = _make("DetectFields", _Detect, "order", "min_score")


def with_form(fields: BaseModel, form: Mapping[str, str]) -> Any:
    """The fields of a query, and those of a form, which prevail.

    Raises:
        RequestValidationError: a field of the form is unknown or wrong.
    """
    if not form:
        return fields
    try:
        return type(fields).model_validate({**fields.model_dump(exclude_unset=True), **form})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def controls_of(fields: BaseModel, references: Sequence[Image] = ()) -> Controls:
    """Controls with the values of fields.

    Args:
        fields: of a request.
        references: photos of the person to restore.

    Raises:
        InputError: a value makes no sense; the message names the field.
    """
    values: dict[str, Any] = {"reference": tuple(references)} if references else {}
    for name, _, option in declared():
        field = _field_name(name, option)
        value = getattr(fields, field, None)
        if value is None or option.files:
            continue
        try:
            values[name] = option.parse(value) if option.parse else value
        except InputError as error:
            raise InputError(f"{field}: {error}") from error
    return make_controls(values)
