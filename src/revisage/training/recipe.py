"""Recipes: a YAML file that says everything about a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from revisage.errors import RecipeError
from revisage.files import safe_read
from revisage.training.config import Strict, Training
from revisage.training.embedded.descriptor import IdentityEmbedderConfig
from revisage.training.embedded.detector import DetectorConfig
from revisage.training.tasks.dictionary import VQGANConfig
from revisage.training.tasks.prior import StyleGAN2Config
from revisage.training.tasks.restoreformer import RestoreFormerTaskConfig
from revisage.training.tasks.restorer import RestorerConfig

LARGEST = 1_000_000
"""Bytes that a recipe may have, and values that it may unfold to."""


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
        RestorerConfig
        | DetectorConfig
        | IdentityEmbedderConfig
        | VQGANConfig
        | RestoreFormerTaskConfig
        | StyleGAN2Config,
        Field(discriminator="kind"),
    ]
    training: Training


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe; ``overrides`` are ``a.b=value`` with YAML values.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (the nearest known ones are named), or a wrong value.
    """
    try:
        content = _yaml(safe_read(path, LARGEST).decode("utf-8"), str(path))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} is not a recipe: it holds no keys")
    for override in overrides:
        _set(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {'; '.join(_explain(fault) for fault in error.errors())}") from error


def _yaml(text: str, source: str) -> Any:
    """A YAML value of plain kinds.

    Raises:
        RecipeError: it is none, or one that unfolds to far more than it says: lists of lists by reference.
    """
    try:
        unfolded = _size(yaml.compose(text, yaml.SafeLoader), {})
        if unfolded > LARGEST:
            raise RecipeError(f"{source} is refused: its references unfold to {unfolded} values")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise RecipeError(f"{source} is refused: it is nested too deeply, or in itself") from error
    # Dates that are none, numbers of thousands of digits: the loader's own constructors stumble over them.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise RecipeError(f"{source} holds a value that is none: {error}") from error


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Values in a tree once all references are followed; each node is looked at once."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


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
    content[last] = _yaml(value, f"--set {name}")


def _explain(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}"
