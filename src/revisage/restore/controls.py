"""What a caller may choose about a restoration: one object that API, command line, batch and video hand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypedDict

from revisage.errors import InputError
from revisage.restore.select import ALL, Selection
from revisage.types import Region


class IdentityAction(StrEnum):
    """What to do with a face that restoring would change beyond ``Controls.min_identity``."""

    REDUCE = "reduce"
    SKIP = "skip"


class Choices(TypedDict, total=False):
    """The fields of :class:`Controls` as keywords: what calling a ``Restorer`` takes besides pictures."""

    scale: float
    strength: float
    aligned: bool
    only_center_face: bool
    regions: Mapping[str, float]
    selection: Selection
    min_identity: float | None
    identity_action: str
    keep_grain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How pictures are restored.

    Attributes:
        scale: sides of the result over sides of the input, above 0, at most 8.
        strength: 0 leaves the faces alone, 1 restores them fully; between, the two are mixed.
        aligned: the whole picture is one face in the position of the alignment template. The result has the size of
            the network (its longer side, if it is not square) and ``scale`` plays no role.
        only_center_face: restore only the face nearest to the middle; the classic name of
            ``selection=Selection("center")``.
        regions: strength of single parts of a face, by name ("eyes", "mouth", "skin", "hair"); all else, and what is
            not named, has ``strength``. Parts fade into one another.
        selection: which faces are restored.
        min_identity: least likeness of a face to itself before, the cosine between their descriptors in [-1, 1];
            None asks for none. Needs an identity network.
        identity_action: what becomes of a face that would be less like itself: "reduce" restores it less, and leaves it
            alone only if even an eighth of the strength is too much; "skip" leaves it alone at once.
        keep_grain: 0 takes the face as the network gives it, 1 puts back all the fine grain of the photo that it
            removed.

    Raises:
        InputError: a value is out of range.
    """

    scale: float = 2.0
    strength: float = 1.0
    aligned: bool = False
    only_center_face: bool = False
    regions: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    selection: Selection = ALL
    min_identity: float | None = None
    identity_action: str = IdentityAction.REDUCE
    keep_grain: float = 0.0

    def __post_init__(self) -> None:
        _check("strength", self.strength, 0)
        _check("keep_grain", self.keep_grain, 0)
        if self.min_identity is not None:
            _check("min_identity", self.min_identity, -1)
        for name, strength in self.regions.items():
            if name not in list(Region):
                raise InputError(f"unknown region {name!r}; a face has {', '.join(Region)}")
            _check(f"the strength of {name}", strength, 0)
        if self.identity_action not in list(IdentityAction):
            raise InputError(f"identity_action is {' or '.join(IdentityAction)}, not {self.identity_action!r}")
        if self.only_center_face and self.selection.which not in ("all", "center"):
            raise InputError("only_center_face already says which face; leave it out to choose another")

    @property
    def chosen(self) -> Selection:
        """``selection`` with ``only_center_face`` worked in."""
        return replace(self.selection, which="center") if self.only_center_face else self.selection


def _check(name: str, value: float, least: float) -> None:
    if not least <= value <= 1:
        raise InputError(f"{name} must be between {least:g} and 1, not {value:g}")
