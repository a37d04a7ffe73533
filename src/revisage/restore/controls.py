"""Controls of a restoration, declared once: API keywords, command-line options and web fields are made from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.types import Array

Which: TypeAlias = Literal["all", "largest", "center"] | tuple[int, ...]
Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class Option:
    """How a control is offered outside of Python.

    Attributes:
        help: at most 70 characters: the thing, then its values.
        flag: name on the command line, without dashes; "" for the field's name.
        min, max: smallest and largest value, both included.
        choices: allowed values of a text.
        parse: text -> value, for controls that are neither numbers, texts nor switches.
        files: the values are images, given as files.
    """

    help: str
    flag: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    files: bool = False

    def check(self, name: str, value: object) -> None:
        """Raise InputError unless ``value`` is one of the choices, or a number in the range; None passes."""
        if value is None or self.parse or self.files:
            return
        if self.choices:
            if value not in self.choices:
                raise InputError(f"{name} is {' or '.join(self.choices)}, not {value!r}")
        elif self.min is None and self.max is None:
            if not isinstance(value, bool):
                raise InputError(f"{name} is True or False, not {value!r}")
        elif isinstance(value, bool) or not hasattr(value, "__float__"):
            raise InputError(f"{name} is a number, not {value!r}")
        else:
            low, high = (-math.inf if self.min is None else self.min), (math.inf if self.max is None else self.max)
            number = float(value)  # pyright: ignore[reportArgumentType]
            if not low <= number <= high:
                raise InputError(f"{name} must be {_range(low, high)}, not {number:g}")


def _range(low: float, high: float) -> str:
    return f"between {low:g} and {high:g}" if math.isfinite(high) else f"at least {low:g}"


def parse_which(text: str) -> Which:
    """``all``, ``largest``, ``center`` or face numbers such as ``0,2``."""
    if text == "all" or text == "largest" or text == "center":
        return text
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise InputError(f"faces are all, largest, center or numbers such as 0,2, not {text!r}") from error


def parse_box(text: str) -> Box:
    """``x1,y1,x2,y2`` in pixels."""
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split(","))
    except ValueError as error:
        raise InputError(f"a box is x1,y1,x2,y2 in pixels, not {text!r}") from error
    return x1, y1, x2, y2


def _option(help: str, **more: Any) -> dict[str, Option]:
    """Metadata of a dataclass field that is a control."""
    return {"option": Option(help, **more)}


def check(controls: Any) -> None:
    """Check every value against its option (InputError)."""
    for entry in fields(controls):
        if option := entry.metadata.get("option"):
            option.check(entry.name, getattr(controls, entry.name))


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which faces are restored: those that pass every condition, and of these ``which``.

    Attributes:
        which: "all"; "largest", by the area of the box; "center", the face nearest to the center of the image; or
            indices in the order in which results list faces, from 0. Indices count all detected faces, whatever the
            other conditions say, so the same image has the same numbers every time.
        min_size: minimum width of a face in pixels of the image.
        max_size: maximum width of a face in pixels of the image.
        min_score: minimum detection score, in [0, 1].
        roi: x1, y1, x2, y2 in pixels of the image. The center of a face must lie in this box, borders included.
        reference: the person to restore: images (H, W, 3), whose largest face counts, or embeddings (D,) as
            ``Restorer.resolve`` computes them. A face that is similar to one of them is selected. Needs an identity
            embedder.
        min_similarity: cosine similarity from which two faces count as the same person.

    Raises:
        InputError: a value is out of range, or no face could ever pass.
    """

    which: Which = field(
        default="all",
        metadata=_option("Faces: all, largest, center or numbers such as 0,2.", flag="faces", parse=parse_which),
    )
    min_size: float = field(default=0.0, metadata=_option("Minimum face width in pixels.", flag="min-face-size", min=0))
    max_size: float = field(
        default=math.inf, metadata=_option("Maximum face width in pixels.", flag="max-face-size", min=0)
    )
    min_score: float = field(default=0.0, metadata=_option("Minimum detection score, 0 to 1.", min=0, max=1))
    roi: Box | None = field(
        default=None, metadata=_option("Region of interest: x1,y1,x2,y2 in pixels.", parse=parse_box)
    )
    reference: tuple[Array, ...] = field(
        default=(), metadata=_option("Photo of the person to restore; may be repeated.", files=True)
    )
    min_similarity: float = field(
        default=0.5, metadata=_option("Cosine similarity to --reference, -1 to 1.", min=-1, max=1)
    )

    def __post_init__(self) -> None:
        check(self)
        _check_which(self.which)
        if self.min_size > self.max_size:
            raise InputError(f"no face is between {self.min_size:g} and {self.max_size:g} pixels wide")
        roi = self.roi
        if roi is not None and not (len(roi) == 4 and roi[0] <= roi[2] and roi[1] <= roi[3]):
            raise InputError(f"roi is x1,y1,x2,y2 with x1 <= x2 and y1 <= y2, not {roi}")


def _check_which(which: Any) -> None:
    if isinstance(which, tuple):
        numbers: tuple[Any, ...] = which
        if not numbers or not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise InputError(f"face numbers are whole numbers from 0, not {numbers}")
    elif which not in ("all", "largest", "center"):
        raise InputError(f"faces are all, largest, center or numbers such as (0, 2), not {which!r}")


ALL = Selection()
"""Every face."""


class RestoreOptions(TypedDict, total=False):
    """The fields of :class:`Controls` as keywords of a ``Restorer`` call."""

    scale: float
    strength: float
    eyes: float | None
    mouth: float | None
    skin: float | None
    hair: float | None
    keep_grain: float
    min_identity: float | None
    identity_action: str
    aligned: bool
    only_center_face: bool
    selection: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How images are restored.

    Attributes:
        scale: output scale factor, above 0, at most 8.
        strength: 0 leaves faces alone, 1 restores them fully, linear in between.
        eyes, mouth, skin, hair: strength of that region; None: ``strength``. Regions fade into one another.
        keep_grain: 0 takes the face as the network returns it, 1 puts back all fine grain of the photo.
        min_identity: minimum cosine similarity between a face before and after, in [-1, 1]; None: not checked. Needs an
            identity embedder.
        identity_action: for faces below ``min_identity``: "reduce" lowers the strength down to an eighth and skips the
            face if even that changes it too much; "skip" leaves the face alone.
        aligned: each image is one face in the alignment template's position. The result has the network's size (its
            longer side, if not square); ``scale`` has no effect.
        only_center_face: the classic name of ``selection=Selection("center")``.
        selection: which faces are restored.

    Raises:
        InputError: a value is out of range or of a wrong type.
    """

    scale: float = field(default=2.0, metadata=_option("Output scale factor (photos: 2, videos: 1).", min=0.01, max=8))
    strength: float = field(
        default=1.0, metadata=_option("Restoration strength: 0 leaves faces alone, 1 is full.", min=0, max=1)
    )
    eyes: float | None = field(
        default=None, metadata=_option("Restoration strength for the eyes (default: --strength).", min=0, max=1)
    )
    mouth: float | None = field(
        default=None, metadata=_option("Restoration strength for the mouth (default: --strength).", min=0, max=1)
    )
    skin: float | None = field(
        default=None, metadata=_option("Restoration strength for the skin (default: --strength).", min=0, max=1)
    )
    hair: float | None = field(
        default=None, metadata=_option("Restoration strength for the hair (default: --strength).", min=0, max=1)
    )
    keep_grain: float = field(
        default=0.0, metadata=_option("Share of the photo's fine grain to put back, 0 to 1.", min=0, max=1)
    )
    min_identity: float | None = field(
        default=None, metadata=_option("Minimum cosine similarity between input and restored face.", min=-1, max=1)
    )
    identity_action: str = field(
        default="reduce",
        metadata=_option("For faces below --min-identity: reduce or skip.", choices=("reduce", "skip")),
    )
    aligned: bool = field(default=False, metadata=_option("Inputs are aligned face crops."))
    only_center_face: bool = field(default=False, metadata=_option("Same as --faces center."))
    selection: Selection = ALL

    def __post_init__(self) -> None:
        check(self)
        if not isinstance(self.selection, Selection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"selection is a revisage.Selection, not {self.selection!r}")
        if self.only_center_face and self.selection.which not in ("all", "center"):
            raise InputError("only_center_face already selects a face; leave it out to select another")

    @property
    def regions(self) -> dict[str, float]:
        """Strength by region, of the regions that have one of their own."""
        own = {"eyes": self.eyes, "mouth": self.mouth, "skin": self.skin, "hair": self.hair}
        return {name: strength for name, strength in own.items() if strength is not None}

    @property
    def effective_selection(self) -> Selection:
        """``selection`` with ``only_center_face`` applied."""
        return replace(self.selection, which="center") if self.only_center_face else self.selection


def controls_from(options: dict[str, Any]) -> Controls:
    """Build :class:`Controls` from keywords, with a suggestion for unknown ones.

    Raises:
        InputError: an unknown keyword, or a value out of range.
    """
    known = [entry.name for entry in fields(Controls)]
    for name in options:
        if name not in known:
            meant = MEANT.get(name) or ", ".join(get_close_matches(name, known, n=2))
            raise InputError(f"unknown option {name!r}" + (f"; did you mean {meant}?" if meant else ""))
    return Controls(**options)


MEANT = {
    "weight": "strength",
    "fidelity": "strength",
    "upscale": "scale",
    "outscale": "scale",
    "has_aligned": "aligned",
}
"""Names in other tools -> names here."""


def declared(kind: type[Any] | Any = Controls) -> Iterator[tuple[str, Field[Any], Option]]:
    """Yield (name, field, option) of all controls, those of the selection included, in the order of declaration."""
    for entry in fields(kind):
        if option := entry.metadata.get("option"):
            yield entry.name, entry, option
        elif is_dataclass(entry.default):
            yield from declared(type(entry.default))
