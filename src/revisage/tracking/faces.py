"""The faces of moving images: detected in every frame, tracked, smoothed, restored, and averaged over time.

Each step is a stream; together they hold a fixed number of frames, whatever the length of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from revisage.restore.background import AutoUpscaler
from revisage.restore.controls import Controls
from revisage.restore.enhance import with_own_output
from revisage.restore.face_job import FaceJob
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import lanczos
from revisage.tracking.smoothing import (
    AVERAGE_RADIUS,
    TRACK_RADIUS,
    RestoredCrop,
    reduce_crop,
    sliding_windows,
    smooth_face,
    temporal_average,
)
from revisage.tracking.tracks import Tracker
from revisage.types import Face, FloatImage, Image, Restoration

CONTEXT_FRAMES = TRACK_RADIUS + AVERAGE_RADIUS
"""Frames before and after one that influence how it is restored."""


class Frame(Protocol):
    """An upright image and when it is shown, in seconds."""

    @property
    def image(self) -> Image:
        """(H, W, 3) RGB."""
        ...

    @property
    def seconds(self) -> float:
        """Strictly increasing."""
        ...


FrameT = TypeVar("FrameT", bound=Frame)


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame(Generic[FrameT]):
    """A frame and the faces in it.

    Attributes:
        before: state of tracking before it.
        faces: by the numbers of their tracks.
    """

    frame: FrameT
    before: Tracker
    faces: dict[int, Face]


@dataclass(frozen=True, slots=True, eq=False)
class EnhancedFrame(Generic[FrameT]):
    """A frame whose faces have been through the network.

    Attributes:
        crops: their restorations, by track; a face with which the network failed is not among them.
    """

    tracked: TrackedFrame[FrameT]
    crops: dict[int, RestoredCrop]


@dataclass(frozen=True, slots=True, eq=False)
class RestoredFrame(Generic[FrameT]):
    """A restored frame.

    Attributes:
        restoration: the result; its faces are in the order of ``tracked.faces``.
    """

    tracked: TrackedFrame[FrameT]
    restoration: Restoration


def restored_frames(
    frames: Iterable[FrameT],
    restorer: Restorer,
    controls: Controls,
    tracker: Tracker | None = None,
    *,
    profile: bytes = b"",
) -> Iterator[RestoredFrame[FrameT]]:
    """Restore the faces of a stream of frames.

    Args:
        frames: from any frame of the video on, upright. The first ``CONTEXT_FRAMES`` frames come out right only if none
            are before them.
        restorer: restores the faces. Where it would choose the background upscaler for each image, it is Lanczos.
        controls: as ``restorer.resolve`` returns them.
        tracker: state of tracking before the first of these frames; None if it is the first of the video.
        profile: ICC profile of the frames, empty for sRGB.

    Yields:
        the frames, in order, ``CONTEXT_FRAMES`` frames after they went in.
    """
    if isinstance(restorer.upscale, AutoUpscaler):  # a choice that changes from frame to frame would flicker
        restorer = replace(restorer, upscale=lanczos)
    tracked = smooth_tracks(track_faces(frames, restorer.detect, tracker or Tracker()))
    enhanced_frames = enhance_faces(tracked, restorer, controls, profile)
    for enhanced, neighbors in sliding_windows(enhanced_frames, AVERAGE_RADIUS, lambda one: one.crops):
        image, faces = enhanced.tracked.frame.image, enhanced.tracked.faces
        jobs = [
            with_own_output(job, _average(enhanced, number, neighbors)) if job.is_active else job
            for number, job in zip(faces, _prepare(enhanced.tracked, restorer, controls, profile), strict=True)
        ]
        (restoration,) = restorer.finish([image], jobs, controls)
        yield RestoredFrame(enhanced.tracked, restoration)


def track_faces(
    frames: Iterable[FrameT], detect: Callable[[Image], list[Face]], tracker: Tracker
) -> Iterator[TrackedFrame[FrameT]]:
    """Detect the faces of each frame and number them by their tracks."""
    for frame in frames:
        after, faces = tracker.follow(frame.image, detect(frame.image))
        yield TrackedFrame(frame, tracker, faces)
        tracker = after


def smooth_tracks(stream: Iterable[TrackedFrame[FrameT]]) -> Iterator[TrackedFrame[FrameT]]:
    """Smooth the positions of faces; fill in missed detections, drop those of too few frames."""
    for tracked, neighbors in sliding_windows(stream, TRACK_RADIUS, lambda one: (one.frame.seconds, one.faces)):
        numbers = dict.fromkeys(number for _, (_, faces) in neighbors for number in faces)
        smoothed = {
            number: smooth_face(
                [(at, seconds, faces[number]) for at, (seconds, faces) in neighbors if number in faces],
                len(neighbors),
            )
            for number in numbers
        }
        yield replace(tracked, faces={number: face for number, face in smoothed.items() if face is not None})


def enhance_faces(
    stream: Iterable[TrackedFrame[FrameT]], restorer: Restorer, controls: Controls, profile: bytes = b""
) -> Iterator[EnhancedFrame[FrameT]]:
    """Run the network on the selected faces."""
    for tracked in stream:
        jobs = _prepare(tracked, restorer, controls, profile)
        kept = {
            number: reduce_crop(job.crop, job.output)
            for number, job in zip(tracked.faces, restorer.enhance(jobs), strict=True)
            if job.output is not None
        }
        yield EnhancedFrame(tracked, kept)


def _prepare(tracked: TrackedFrame[FrameT], restorer: Restorer, controls: Controls, profile: bytes) -> list[FaceJob]:
    """Select and align the faces of a frame. Face numbers of the controls are those of tracks."""
    faces, which = tracked.faces, controls.selection.which
    if own := controls.face_strengths:
        by_index = {index: own[number] for index, number in enumerate(faces) if number in own}
        controls = replace(controls, face_strengths=by_index)
    if isinstance(which, tuple):
        indices = tuple(index for index, number in enumerate(faces) if number in which) or (len(faces),)
        controls = replace(controls, selection=replace(controls.selection, which=indices))
    return restorer.prepare([tracked.frame.image], controls, [list(faces.values())], [profile])


def _average(
    enhanced: EnhancedFrame[FrameT], number: int, neighbors: list[tuple[int, dict[int, RestoredCrop]]]
) -> FloatImage | None:
    """The averaged restoration of one face; None if the network failed with it."""
    if number not in enhanced.crops:
        return None
    others = [(at, crops[number]) for at, crops in neighbors if at and number in crops]
    return temporal_average(enhanced.crops[number], others)
