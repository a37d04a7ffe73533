"""Errors of several steps, told in one message."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar, cast

from revisage.errors import RecipeError, RevisageError

Result = TypeVar("Result")


class Problems:
    """A block whose steps are all tried; at its end it raises a RecipeError with all that failed.

    The error of a single step is raised as it is.

    Args:
        missing: names of settings whose files are missing; steps that need them are left out.
    """

    def __init__(self, missing: Collection[str] = ()) -> None:
        self.missing = missing
        self._errors: list[RevisageError] = []

    def attempt(self, step: Callable[[], Result], *settings: str) -> Result:
        """The result of a step, or None, not to be used, if it fails or is left out.

        Args:
            step: may raise RevisageError.
            settings: whose files it reads; those of groups (``task.losses``) by the name of the group.
        """
        if not any(f"{name}.".startswith(f"{setting}.") for name in self.missing for setting in settings):
            try:
                return step()
            except RevisageError as error:
                self._errors.append(error)
        return cast(Result, None)

    def add(self, *problems: str) -> None:
        """Note what is wrong."""
        self._errors += map(RecipeError, problems)

    def __enter__(self) -> Problems:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and len(self._errors) == 1:
            raise self._errors[0]
        if error is None and self._errors:
            raise RecipeError("; ".join(dict.fromkeys(map(str, self._errors))))
