"""Recipes: a YAML file with every setting of a training run."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import Field, NonNegativeInt, ValidationError

from revisage.errors import RecipeError, near_or_known
from revisage.files import safe_read
from revisage.models.registry import MODELS
from revisage.training.checks import Problems, check_networks, check_settings
from revisage.training.config import Strict, TrainingConfig, weights_file
from revisage.training.embedded.background import BackgroundConfig
from revisage.training.embedded.detector import DetectorConfig
from revisage.training.embedded.identity_embedder import IdentityEmbedderConfig
from revisage.training.embedded.repair import RepairConfig
from revisage.training.identity import identify, named_paths
from revisage.training.state import STATE, check_state
from revisage.training.task import Task
from revisage.training.tasks.restoreformer import RestoreFormerTaskConfig, VQGANConfig
from revisage.training.tasks.restorer import RestorerConfig
from revisage.training.tasks.stylegan2 import StyleGAN2Config

MAX_SIZE = 1_000_000
"""Bytes that a recipe may have, and values that it may unfold to."""

_EXPECTED = {
    "tuple": "a list", "list": "a list", "int": "a whole number", "float": "a number", "bool": "true or false",
    "string": "text", "path": "a path", "model": "a group of settings", "dict": "a group of settings",
    "dataclass": "a group of settings",
}  # fmt: skip
"""First word of the type of a validation error -> the kind of value that is expected."""


class Recipe(Strict):
    """A training run: its name in logs and headers, the seed of all that is random, the task, length and optimizers."""

    name: str
    seed: NonNegativeInt = 0
    task: Annotated[
        RestorerConfig
        | DetectorConfig
        | BackgroundConfig
        | RepairConfig
        | IdentityEmbedderConfig
        | VQGANConfig
        | RestoreFormerTaskConfig
        | StyleGAN2Config,
        Field(discriminator="kind"),
    ]
    training: TrainingConfig

    def build(self, run: Path | None = None, processes: int = 1) -> Task:
        """The task, with its data and weights read, and everything checked that the run needs until its end.

        Without ``run`` its disk space and the state in it are not looked at; ``processes`` train together. RecipeError:
        files are missing, one cannot be used, a setting does not fit the others, or the disk is too full for the state:
        all that is wrong, in one message.
        """
        paths = [(name, path) for name, path in named_paths(self.task, "task") if not _exists(path)]
        missing = "; ".join(_describe_missing(name, path) for name, path in paths)
        with Problems() as problems:
            problems.add(*check_settings(self.training, self.task.metrics_of_validation(), processes))
            if run is not None and (run / STATE).exists():
                problems.attempt(lambda: check_state(run / STATE, identify(self)))
            task = problems.attempt(lambda: cast(Task, self.task.build(self.seed, [name for name, _ in paths])))
            if missing:
                problems.add(f"files that the recipe {self.name} needs are missing: {missing}")
            elif task:
                problems.add(*check_networks(self.training, task.networks, run))
        return task


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe; ``overrides`` are ``a.b=value`` with YAML values. Files that it names are not looked at.

    RecipeError: no such file, not YAML, an unknown key (the nearest known ones are named), or a wrong value.
    """
    try:
        content = _parse_yaml(safe_read(path, MAX_SIZE).decode("utf-8"), str(path))
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
        faults = error.errors()
        # A list whose entry is wrong counts as too short as well.
        own = [
            one
            for one in faults
            if one["type"] != "too_short"
            or not any(one["loc"] == b["loc"][: len(one["loc"])] for b in faults if b is not one)
        ]
        raise RecipeError(f"{path}: {'; '.join(dict.fromkeys(_explain(fault, content) for fault in own))}") from error


def _parse_yaml(text: str, source: str) -> Any:
    """A YAML value of plain kinds (RecipeError: not YAML, or references unfold to far more values than it has)."""
    try:
        unfolded = _unfolded_size(yaml.compose(text, yaml.SafeLoader), {})
        if unfolded > MAX_SIZE:
            raise RecipeError(f"{source} is refused: its references unfold to {unfolded} values")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise RecipeError(f"{source} is refused: it is nested too deeply, or in itself") from error
    # The loader's own constructors fail on impossible dates and on numbers of thousands of digits.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise RecipeError(f"{source} holds an impossible value: {error}") from error


def _unfolded_size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Values in a tree once all references are followed; each node is visited once.

    YAMLError: a key comes twice: YAML takes the last one without a word.
    """
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        if isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            for key in (key for key, count in keys.items() if count > 1):
                raise yaml.YAMLError(f"the key {key} comes twice, below line {node.start_mark.line + 1}")
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_unfolded_size(part, known) for part in parts)
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
    content[last] = _parse_yaml(value, f"--set {name}")


def _explain(fault: Any, content: Any) -> str:
    """One validation error as "task.crops: a list, such as [x], not the text 'x'"."""
    name, kind, value, context = _setting(fault, content), fault["type"], fault["input"], fault.get("ctx", {})
    match kind:
        case "missing":
            return f"{name}: is missing"
        case "value_error":
            return f"{name}: {fault['msg'].removeprefix('Value error, ')}"
        case "union_tag_not_found":
            return f"{name}: lacks the key {context['discriminator']}"
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            known = near_or_known(context["tag"], tags, most=2, cutoff=0.6)
            return f"{name}.{context['discriminator'].strip(chr(39))}: unknown {context['tag']!r}; {known}"
        case "too_short" | "too_long":
            most = kind == "too_long"
            limit = f"at most {context['max_length']}" if most else f"at least {context['min_length']}"
            return f"{name}: needs {limit} entries, not {context['actual_length']}"
        case _:
            expected = _EXPECTED.get(kind.split("_")[0]) or fault["msg"].removeprefix("Input ")
            example = f", such as [{value}]," if expected == "a list" and isinstance(value, str | int | float) else ""
            return f"{name}: {expected}{example or ','} not {_shown(value)}"


def _setting(fault: Any, content: Any) -> str:
    """Name of the setting at fault: its location without the kinds of tasks, networks and losses."""
    names: list[str] = []
    for part in fault["loc"]:
        inside = part in content if isinstance(content, dict) else isinstance(part, int) and isinstance(content, list)
        if inside:
            content = content[part]
        if inside or (part == fault["loc"][-1] and fault["type"] == "missing"):
            names.append(str(part))
    return ".".join(names) or "recipe"


def _shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value[:100]!r}"
        case int() | float():
            return f"the number {value}"
        case Mapping():
            return "a group of settings"
        case _:
            return "a list"


def _exists(path: Path) -> bool:
    try:
        return weights_file(path).exists() or (glob.has_magic(str(path)) and bool(glob.glob(str(path), recursive=True)))  # noqa: PTH207
    except (OSError, ValueError):  # a name that no file can have
        return False


def _describe_missing(name: str, path: Path) -> str:
    known = next((model for model, spec in MODELS.items() if str(path) == model or path.name == spec.file), None)
    if known is None:
        return f"{name}: {path}"
    return f"{name}: {path} (`revisage fetch {known}`{'' if str(path) == known else f', then give {known} here'})"
