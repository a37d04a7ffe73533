"""Options that several commands share, and those that say how faces are restored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.restore.select import Selection, Which

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, xpu or mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]

Architecture = Annotated[
    str | None,
    typer.Option(help="GFPGANBilinear for weights that would be taken for GFPGANv1: keys are the same."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download; REVISAGE_OFFLINE=1 says the same.")]

Scale = Annotated[
    float | None,
    typer.Option(min=0.1, max=8, help="Sides of the result over sides of the source; 2 for photos, 1 for videos."),
]
Strength = Annotated[float, typer.Option(min=0, max=1, help="0 leaves faces alone, 1 restores fully.")]
Eyes = Annotated[float | None, typer.Option(min=0, max=1, help="Strength of the eyes, if another.")]
Mouth = Annotated[float | None, typer.Option(min=0, max=1, help="Strength of the mouth, if another.")]
Skin = Annotated[float | None, typer.Option(min=0, max=1, help="Strength of the skin, if another.")]
Hair = Annotated[float | None, typer.Option(min=0, max=1, help="Strength of the hair, if another.")]
KeepGrain = Annotated[float, typer.Option(min=0, max=1, help="How much of the photo's fine grain faces keep.")]
MinIdentity = Annotated[
    float | None, typer.Option(min=-1, max=1, help="Least likeness of a face to itself before (a cosine).")
]
Action = Annotated[str, typer.Option("--identity-action", help="reduce or skip: what to do with faces below that.")]
Identity = Annotated[str, typer.Option(help="What tells people apart: a name from `revisage models`, or a file.")]
Aligned = Annotated[bool, typer.Option("--aligned", help="Each photo is one aligned face.")]
OnlyCenterFace = Annotated[bool, typer.Option("--only-center-face", help="The same as --faces center.")]
Faces = Annotated[str, typer.Option(help="all, largest, center, or places such as 0,2 in order of score.")]
MinFace = Annotated[float, typer.Option(min=0, help="Leave faces alone that are less wide (pixels).")]
MaxFace = Annotated[float | None, typer.Option(min=0, help="Leave faces alone that are wider (pixels).")]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Leave faces alone that the detector is less sure of.")]
Within = Annotated[str | None, typer.Option(help="x1,y1,x2,y2 in pixels: only faces with their middle in this box.")]
Like = Annotated[list[Path] | None, typer.Option(help="Only the person in this photo; may be given several times.")]
MinLikeness = Annotated[float, typer.Option(min=-1, max=1, help="Cosine from which a face is that person.")]
Parser = Annotated[
    str,
    typer.Option(
        help="What tells hair and skin from what is beside them: auto (parsenet if it was fetched), none, or a file."
    ),
]
Background = Annotated[str, typer.Option(help="What enlarges the rest: lanczos, a name, or a weight file.")]
Tile = Annotated[int, typer.Option(min=0, help="Side of the tiles in which a network does that; 0: no tiles.")]


def selection_of(
    faces: str,
    min_face: float,
    max_face: float | None,
    min_score: float,
    within: str | None,
    like: list[Path] | None,
    min_likeness: float,
) -> Selection:
    """The options that say which faces, as a selection; reads the photos of ``like``.

    Raises:
        InputError: what an option says makes no sense, or a photo cannot be read.
    """
    from revisage.images import read_image
    from revisage.restore.select import Selection

    return Selection(
        which=_which(faces),
        min_size=min_face,
        max_size=float("inf") if max_face is None else max_face,
        min_score=min_score,
        within=None if within is None else _box(within),
        like=tuple(read_image(path) for path in like or ()),
        min_likeness=min_likeness,
    )


def regions_of(**strengths: float | None) -> dict[str, float]:
    """Strengths by region, of those that were given."""
    return {name: strength for name, strength in strengths.items() if strength is not None}


def _which(text: str) -> Which:
    match text:
        case "all" | "largest" | "center":
            return text
        case _:
            try:
                return tuple(int(place) for place in text.split(","))
            except ValueError as error:
                raise InputError(f"--faces is all, largest, center, or places such as 0,2, not {text!r}") from error


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split(","))
    except ValueError as error:
        raise InputError(f"--within is a box x1,y1,x2,y2 in pixels, not {text!r}") from error
    return x1, y1, x2, y2
