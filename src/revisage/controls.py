"""What a caller may choose about a restoration: one object that API, command line, batch and video hand on."""

from __future__ import annotations

from dataclasses import dataclass

from revisage.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How pictures are restored.

    Attributes:
        scale: sides of the result over sides of the input, above 0, at most 8.
        strength: 0 leaves the faces alone, 1 restores them fully; between, the two are mixed.
        aligned: the whole picture is one face in the position of the alignment template. The result has the size of
            the network (its longer side, if it is not square) and ``scale`` plays no role.
        only_center_face: restore only the face nearest to the middle.

    Raises:
        InputError: a value is out of range.
    """

    scale: float = 2.0
    strength: float = 1.0
    aligned: bool = False
    only_center_face: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise InputError(f"strength must be between 0 and 1, not {self.strength:g}")
