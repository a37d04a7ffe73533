"""The faces of a film: found in every frame, followed, steadied, restored, and steadied again.

Each step is a stream; together they hold a fixed number of frames, whatever the length of the film.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.types import Face, FloatImage, Image, Restoration
from revisage.video import smoothing, stabilise
from revisage.video.reading import Frame
from revisage.video.smoothing import smoothed
from revisage.video.stabilise import Restored, remembered, stabilised
from revisage.video.tracks import Tracker
from revisage.video.windows import windows

REACH = smoothing.RADIUS + stabilise.RADIUS
"""Frames before and after one that have a say in how it is restored."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame and the faces in it.

    Attributes:
        frame: the frame.
        before: what was known of the film before it.
        faces: by the numbers of their tracks.
    """

    frame: Frame
    before: Tracker
    faces: dict[int, Face]


@dataclass(frozen=True, slots=True, eq=False)
class Enhanced:
    """A frame whose faces have been through the network.

    Attributes:
        seen: frame and faces.
        order: tracks of the faces that were chosen, in the order of the pipeline.
        crops: how they were restored; a face with which the network failed is not among them.
    """

    seen: Seen
    order: tuple[int, ...]
    crops: dict[int, Restored]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A restored frame.

    Attributes:
        seen: frame and faces.
        restoration: the result; its faces are in the order of ``seen.faces``.
    """

    seen: Seen
    restoration: Restoration


def restored_frames(
    frames: Iterable[Frame], restorer: Restorer, controls: Controls, tracker: Tracker | None = None
) -> Iterator[Finished]:
    """Restore the faces of a stream of frames.

    Args:
        frames: from any frame of the film on, upright. The first ``REACH`` frames come out right only if there are none
            before them.
        restorer: what restores.
        controls: as ``restorer.settled`` returns them.
        tracker: what was known before the first of these frames; None if it is the film's first.

    Yields:
        the frames, in order, ``REACH`` frames after they went in.
    """
    seen = steadied(followed(frames, restorer.detect, tracker or Tracker()))
    for enhanced, neighbours in windows(shown(seen, restorer, controls), stabilise.RADIUS, _crops):
        steady = [_stabilised(enhanced, number, neighbours) for number in enhanced.order]
        picture, faces = enhanced.seen.frame.picture, list(enhanced.seen.faces.values())
        (restoration,) = restorer.restore([picture], controls, [faces], enhance=lambda _, crops=steady: crops)
        yield Finished(enhanced.seen, restoration)


def followed(frames: Iterable[Frame], detect: Callable[[Image], list[Face]], tracker: Tracker) -> Iterator[Seen]:
    """Find the faces of each frame and say which is which."""
    for frame in frames:
        after, faces = tracker.follow(frame.picture, detect(frame.picture))
        yield Seen(frame, tracker, faces)
        tracker = after


def steadied(stream: Iterable[Seen]) -> Iterator[Seen]:
    """Smooth where the faces are; fill in those that were missed, leave out those that were seen by chance."""
    for seen, neighbours in windows(stream, smoothing.RADIUS, lambda one: (one.frame.seconds, one.faces)):
        numbers = dict.fromkeys(number for _, (_, faces) in neighbours for number in faces)
        faces = {
            number: smoothed(
                [(at, seconds, faces[number]) for at, (seconds, faces) in neighbours if number in faces],
                len(neighbours),
            )
            for number in numbers
        }
        yield replace(seen, faces={number: face for number, face in faces.items() if face is not None})


def shown(stream: Iterable[Seen], restorer: Restorer, controls: Controls) -> Iterator[Enhanced]:
    """Show the chosen faces to the network."""
    for seen in stream:
        numbers = list(seen.faces)
        aligned = restorer.aligned(seen.frame.picture, list(seen.faces.values()), controls)
        order = tuple(numbers[place] for place in aligned)
        crops = [face.crop for face in aligned.values()]
        results = zip(order, crops, restorer.enhance(crops), strict=True)
        kept = {number: remembered(before, after) for number, before, after in results if after is not None}
        yield Enhanced(seen, order, kept)


def _crops(enhanced: Enhanced) -> dict[int, Restored]:
    return enhanced.crops


def _stabilised(
    enhanced: Enhanced, number: int, neighbours: list[tuple[int, dict[int, Restored]]]
) -> FloatImage | None:
    """The steady restoration of one face; None if the network failed with it."""
    if number not in enhanced.crops:
        return None
    others = [(at, crops[number]) for at, crops in neighbours if at and number in crops]
    return stabilised(enhanced.crops[number], others)
