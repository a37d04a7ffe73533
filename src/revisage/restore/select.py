"""Which of the faces of a photo are restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError
from revisage.types import Array, Face

Which: TypeAlias = Literal["all", "largest", "center"] | tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which faces are restored: those that pass every condition, and of these ``which``.

    Attributes:
        which: "all"; "largest", by the area of the box; "center", the one nearest to the middle of the photo; or places
            in the order in which results list faces, from 0, best score first. Places count all faces that are found,
            whatever the other conditions say, so that the same photo has the same numbers every time.
        min_size: least width of a face in pixels of the photo.
        max_size: greatest width, likewise.
        min_score: least score, in [0, 1].
        within: x1, y1, x2, y2 in pixels of the photo: the middle of the face lies in this box, its border included.
        like: the person to restore: pictures (H, W, 3), in each of which the largest face is meant, or their
            descriptors (D,) as ``Restorer.settled`` makes them; a face that is like one of them is chosen. Needs an
            identity network.
        min_likeness: cosine between descriptors from which two faces count as the same person.

    Raises:
        InputError: a value is out of range, or no face could ever pass.
    """

    which: Which = "all"
    min_size: float = 0.0
    max_size: float = float("inf")
    min_score: float = 0.0
    within: tuple[float, float, float, float] | None = None
    like: tuple[Array, ...] = ()
    min_likeness: float = 0.5

    def __post_init__(self) -> None:
        _check_which(self.which)
        if not 0 <= self.min_size <= self.max_size:
            raise InputError(f"no face is between {self.min_size:g} and {self.max_size:g} pixels wide")
        if not 0 <= self.min_score <= 1:
            raise InputError(f"the least score must be between 0 and 1, not {self.min_score:g}")
        if not -1 <= self.min_likeness <= 1:
            raise InputError(f"the least likeness must be between -1 and 1, not {self.min_likeness:g}")
        if self.within is not None:
            x1, y1, x2, y2 = self.within
            if not (x1 <= x2 and y1 <= y2):
                raise InputError(f"a box is x1,y1,x2,y2 with x1 <= x2 and y1 <= y2, not {self.within}")


def _check_which(which: Which) -> None:
    if isinstance(which, tuple):
        if not which or any(place < 0 for place in which):
            raise InputError(f"places of faces are whole numbers from 0, not {which}")
    elif which not in ("all", "largest", "center"):
        raise InputError(f"faces are all, largest, center or places such as (0, 2), not {which!r}")


ALL = Selection()
"""Every face."""


def reasons_against(
    faces: Sequence[Face],
    shape: tuple[int, ...],
    selection: Selection,
    likeness: Callable[[list[Face]], list[float]] | None = None,
) -> list[str]:
    """Why each face is left out; "" for those that are chosen.

    Args:
        faces: of one photo, best score first.
        shape: (height, width, ...) of the photo.
        selection: what was chosen.
        likeness: faces -> of each the highest cosine to one of ``selection.like``; asked only for faces that pass the
            other conditions. None leaves this one out.
    """
    reasons = [_condition(face, selection) for face in faces]
    left = [place for place, reason in enumerate(reasons) if not reason]
    if likeness is not None:
        for place, value in zip(left, likeness([faces[place] for place in left]), strict=True):
            if value < selection.min_likeness:
                reasons[place] = f"not the person asked for (likeness {value:.2f})"
        left = [place for place in left if not reasons[place]]
    chosen = _places(faces, left, shape, selection.which)
    what = f"the {selection.which} face" if isinstance(selection.which, str) else "among the faces asked for"
    return [reason or ("" if place in chosen else f"not {what}") for place, reason in enumerate(reasons)]


def _condition(face: Face, selection: Selection) -> str:
    """The first condition that a face fails by itself, "" if none."""
    width = float(face.box[2] - face.box[0])
    if width < selection.min_size:
        return f"only {width:.0f} px wide"
    if width > selection.max_size:
        return f"{width:.0f} px wide"
    if face.score < selection.min_score:
        return f"score only {face.score:.2f}"
    if selection.within is not None:
        x, y = middle(face)
        x1, y1, x2, y2 = selection.within
        if not (x1 <= x <= x2 and y1 <= y <= y2):
            return "outside of the box"
    return ""


def _places(faces: Sequence[Face], left: list[int], shape: tuple[int, ...], which: Which) -> set[int]:
    """Which of the places ``left`` are meant."""
    if isinstance(which, tuple):
        return set(left) & set(which)
    if which == "all" or not left:
        return set(left)
    if which == "largest":
        return {largest(faces, left)}
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    return {min(left, key=lambda place: float(np.linalg.norm(middle(faces[place]) - centre)))}


def largest(faces: Sequence[Face], among: Sequence[int] | None = None) -> int:
    """Place of the face with the largest box; of equal ones the first."""
    return max(range(len(faces)) if among is None else among, key=lambda place: _area(faces[place]))


def middle(face: Face) -> NDArray[np.floating]:
    """(2,) x, y of the middle of a face's box."""
    return (face.box[:2] + face.box[2:]) / 2


def _area(face: Face) -> float:
    return float(np.prod(face.box[2:] - face.box[:2]))
