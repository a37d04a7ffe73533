"""Recipes: a YAML file that says everything about a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from revisage.errors import RecipeError
from revisage.train.config import Strict, Training
from revisage.train.tasks.detector import DetectorConfig
from revisage.train.tasks.dictionary import DictionaryConfig
from revisage.train.tasks.prior import PriorConfig
from revisage.train.tasks.restoreformer import RestorationConfig
from revisage.train.tasks.restorer import RestorerConfig


class Recipe(Strict):
    """A training run.

    Attributes:
        name: what the run is called in logs and headers.
        seed: with the image count it determines every sample.
        task: what is trained, on what, towards what.
        training: how long and how fast.
    """

    name: str
    seed: int = 0
    task: Annotated[
        RestorerConfig | DetectorConfig | DictionaryConfig | RestorationConfig | PriorConfig,
        Field(discriminator="kind"),
    ]
    training: Training


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe; ``overrides`` are ``a.b=value`` with YAML values.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (the nearest known ones are named), or a wrong value.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} is not a recipe: it holds no keys")
    for override in overrides:
        _set(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {'; '.join(_explain(fault) for fault in error.errors())}") from error


def _set(content: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"--set takes a.b=value, not {override!r}")
    *parents, last = name.split(".")
    for parent in parents:
        inner: Any = content.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: {parent} is a value, not a group of settings")
        content = inner
    content[last] = yaml.safe_load(value)


def _explain(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}"
