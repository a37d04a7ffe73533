"""Controls of a restoration, declared once: API keywords, command-line options and web fields are made from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from revisage.errors import InputError, suggest_keywords

if TYPE_CHECKING:
    from revisage.types import Array

Which: TypeAlias = Literal["all", "largest", "center"] | tuple[int, ...]
Box: TypeAlias = tuple[float, float, float, float]

_WHICH = "all", "largest", "center"

MEANT = {
    **dict.fromkeys(("weight", "fidelity", "alpha", "blend", "visibility"), "strength"),
    **dict.fromkeys(("upscale", "outscale", "factor", "size"), "scale"),
    "hasaligned": "aligned",
    "centeronly": "only_center_face",
    "grain": "keep_grain",
    "identity": "min_identity",
    **{
        name.replace("_", ""): f"selection=revisage.Selection({name}=...)"
        for name in ("which", "min_size", "max_size", "min_score", "roi", "reference", "min_similarity", "order")
    },
}
"""Words of other tools, without punctuation -> keywords here."""
MEANT_SELECTION = {
    **dict.fromkeys(("faces", "index", "indices", "number", "numbers", "choose", "select"), "which"),
    **dict.fromkeys(("box", "region", "within", "area"), "roi"),
    **dict.fromkeys(("minface", "minfacesize", "minwidth"), "min_size"),
    **dict.fromkeys(("maxface", "maxfacesize", "maxwidth"), "max_size"),
    **dict.fromkeys(("score", "threshold", "confidence"), "min_score"),
    **dict.fromkeys(("person", "like", "identity"), "reference"),
    **dict.fromkeys(("similarity", "minlikeness"), "min_similarity"),
    "sort": "order",
}


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
        """Raise InputError unless ``value`` is one of the choices, or a number in the range."""
        if self.parse or self.files:
            return
        if self.choices:
            if value not in self.choices:
                raise InputError(f"{name} is {' or '.join(self.choices)}, not {_shown(value)}")
        elif self.min is None and self.max is None:
            if not isinstance(value, bool):
                raise InputError(f"{name} is True or False, not {_shown(value)}")
        else:
            low, high = (-math.inf if self.min is None else self.min), (math.inf if self.max is None else self.max)
            number = _number(value)
            if number is None:
                raise InputError(f"{name} is a number {_range(low, high)}, not {_shown(value)}")
            if not low <= number <= high:
                raise InputError(f"{name} must be {_range(low, high)}, not {number:g}")


def _number(value: Any) -> float | None:
    """A number, also of numpy or torch; None for anything else, texts and switches included."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _shown(value: object) -> str:
    """A value in a message: numbers and texts as they are written, of anything else its type."""
    is_plain = value is None or isinstance(value, bool | int | float | str | tuple | list)
    return repr(value) if is_plain else f"of type {type(value).__name__}"


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


def parse_face_strengths(text: str) -> dict[int, float]:
    """``0=0.5,2=0``: strengths by face number."""
    try:
        pairs = [entry.split("=") for entry in text.split(",")]
        return {int(number): float(strength) for number, strength in pairs}
    except ValueError as error:
        raise InputError(f"strengths of faces are NUMBER=STRENGTH such as 0=0.5,2=0, not {text!r}") from error


def _control(default: object, help: str, *, hash: bool | None = None, **more: Any) -> Any:
    """A dataclass field that is a control; more: see :class:`Option`."""
    return field(default=default, hash=hash, metadata={"option": Option(help, **more)})


def check(controls: Any) -> None:
    """Check every value against its option (InputError)."""
    for entry in fields(controls):
        if option := entry.metadata.get("option"):
            value = getattr(controls, entry.name)
            if value is not None or entry.default is not None:
                option.check(entry.name, value)


@suggest_keywords(MEANT_SELECTION)
@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which faces are restored: those that pass every condition, and of these ``which``.

    Attributes:
        which: "all"; "largest", by the area of the box; "center", the face nearest to the center of the image; or
            indices in the order in which results list faces, from 0. Indices count all detected faces, whatever the
            other conditions say, so the same image has the same numbers every time. In a video they are the numbers of
            tracks, in the order in which people appear.
        order: of the faces in results, and thus of their numbers: "position", left to right in rows from top to bottom;
            "size", the largest first; "score", the surest detection first.
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

    which: Which = _control(
        "all", "Faces: all, largest, center or numbers such as 0,2.", flag="faces", parse=parse_which
    )
    order: str = _control(
        "position", "Order of face numbers: position, size or score.", choices=("position", "size", "score")
    )
    min_size: float = _control(0.0, "Minimum face width in pixels.", flag="min-face-size", min=0)
    max_size: float = _control(math.inf, "Maximum face width in pixels.", flag="max-face-size", min=0)
    min_score: float = _control(0.0, "Minimum detection score, 0 to 1.", min=0, max=1)
    roi: Box | None = _control(None, "Region of interest: x1,y1,x2,y2 in pixels.", parse=parse_box)
    reference: tuple[Array, ...] = _control((), "Photo of the person to restore; may be repeated.", files=True)
    min_similarity: float = _control(0.5, "Cosine similarity to --reference, -1 to 1.", min=-1, max=1)

    def __post_init__(self) -> None:
        check(self)
        _check_which(self.which)
        _check_roi(self.roi)
        _check_reference(self.reference)
        if self.min_size > self.max_size:
            raise InputError(f"no face is between {self.min_size:g} and {self.max_size:g} pixels wide")


def _check_which(which: Any) -> None:
    if isinstance(which, tuple):
        numbers: tuple[Any, ...] = which
        if not numbers or not all(_number(one) is not None and one >= 0 and one == int(one) for one in numbers):
            raise InputError(f"face numbers are whole numbers from 0, not {numbers}")
    elif isinstance(which, int | list):
        wanted: Any = [which] if isinstance(which, int) else which
        raise InputError(f"face numbers are a tuple, which={tuple(wanted)!r}, not {which!r}")
    elif which not in _WHICH:
        raise InputError(f"faces are all, largest, center or numbers such as (0, 2), not {_shown(which)}")


def _check_roi(roi: Any) -> None:
    if roi is None:
        return
    numbers = list(map(_number, roi)) if hasattr(roi, "__iter__") and not isinstance(roi, str) else []
    x1, y1, x2, y2 = [math.nan if one is None else one for one in numbers] if len(numbers) == 4 else [math.nan] * 4
    if not (x1 <= x2 and y1 <= y2):
        raise InputError(f"roi is (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2, not {_shown(roi)}")


def _check_reference(reference: Any) -> None:
    known: tuple[Any, ...] = reference if isinstance(reference, tuple) else ()
    wrong = [one for one in known if not (hasattr(one, "ndim") or hasattr(one, "convert"))]
    if not isinstance(reference, tuple) or wrong:
        shown = _shown(wrong[0] if wrong else reference)
        raise InputError(f"reference is a tuple of images, (revisage.read_image(path),) for one, not {shown}")


def _check_face_strengths(strengths: Any) -> None:
    known: dict[Any, Any] = dict(strengths) if isinstance(strengths, Mapping) else {None: None}
    numbers = [(_number(index), _number(strength)) for index, strength in known.items()]
    if not all(
        index is not None and index >= 0 and index == int(index) and strength is not None and 0 <= strength <= 1
        for index, strength in numbers
    ):
        shown = dict(known) if isinstance(strengths, Mapping) else _shown(strengths)
        raise InputError(f"face_strengths are strengths between 0 and 1 by face number, {{0: 0.5}}, not {shown}")


ALL = Selection()
"""Every face."""


class RestoreOptions(TypedDict, total=False):
    """The fields of :class:`Controls` as keywords of a ``Restorer`` call."""

    scale: float
    strength: float
    face_strengths: Mapping[int, float] | None
    eyes: float | None
    mouth: float | None
    skin: float | None
    hair: float | None
    keep_grain: float
    background_strength: float
    repair: bool
    min_identity: float | None
    identity_action: str
    aligned: bool
    only_center_face: bool
    selection: Selection


@suggest_keywords(MEANT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How images are restored.

    Attributes:
        scale: output scale factor, above 0, at most 8.
        strength: 0 leaves faces alone, 1 restores them fully, linear in between.
        face_strengths: strength of single faces by their number; None or a face left out: ``strength``. Numbers count
            as those of ``Selection.which`` do.
        eyes, mouth, skin, hair: strength of that region; None: ``strength``. Regions fade into one another.
        keep_grain: 0 takes the face as the network returns it, 1 puts back all fine grain of the photo.
        background_strength: share of what the background upscaler changes; 0: Lanczos.
        repair: fill scratches, creases and dust before anything else. For photos and animations, not for videos.
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

    scale: float = _control(2.0, "Output scale factor (photos: 2, videos: 1).", min=0.01, max=8)
    strength: float = _control(1.0, "Restoration strength: 0 leaves faces alone, 1 is full.", min=0, max=1)
    face_strengths: Mapping[int, float] | None = _control(
        None, "Strength of single faces: NUMBER=STRENGTH, as 0=0.5,2=0.", parse=parse_face_strengths, hash=False
    )  # a dict has no hash
    eyes: float | None = _control(None, "Restoration strength for the eyes (default: --strength).", min=0, max=1)
    mouth: float | None = _control(None, "Restoration strength for the mouth (default: --strength).", min=0, max=1)
    skin: float | None = _control(None, "Restoration strength for the skin (default: --strength).", min=0, max=1)
    hair: float | None = _control(None, "Restoration strength for the hair (default: --strength).", min=0, max=1)
    keep_grain: float = _control(0.0, "Share of the photo's fine grain to put back, 0 to 1.", min=0, max=1)
    background_strength: float = _control(
        1.0, "Strength of the background upscaler: 0 is lanczos, 1 is full.", min=0, max=1
    )
    repair: bool = _control(False, "Fill scratches, creases and dust of old prints.")
    min_identity: float | None = _control(
        None, "Minimum cosine similarity between input and restored face.", min=-1, max=1
    )
    identity_action: str = _control(
        "reduce", "For faces below --min-identity: reduce or skip.", choices=("reduce", "skip")
    )
    aligned: bool = _control(False, "Inputs are aligned face crops.")
    only_center_face: bool = _control(False, "Same as --faces center.")
    selection: Selection = ALL

    def __post_init__(self) -> None:
        check(self)
        if self.face_strengths is not None:
            _check_face_strengths(self.face_strengths)
        if not isinstance(self.selection, Selection):  # pyright: ignore[reportUnnecessaryIsInstance]
            given: Any = self.selection
            hint = f": write selection=revisage.Selection({given!r})" if str(given) in _WHICH else ""
            raise InputError(f"selection is a revisage.Selection, not {_shown(given)}{hint}")
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


def declared(kind: type[Any] | Any = Controls) -> Iterator[tuple[str, Field[Any], Option]]:
    """Yield (name, field, option) of all controls, those of the selection included, in the order of declaration."""
    for entry in fields(kind):
        if option := entry.metadata.get("option"):
            yield entry.name, entry, option
        elif is_dataclass(entry.default):
            yield from declared(type(entry.default))


def make_controls(values: Mapping[str, Any]) -> Controls:
    """Controls of values by name, those of the selection among them (InputError: a value makes no sense)."""
    own = {entry.name for entry in fields(Selection)}
    selection = Selection(**{name: value for name, value in values.items() if name in own})
    return Controls(**{name: value for name, value in values.items() if name not in own}, selection=selection)
