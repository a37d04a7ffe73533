"""Restore everything that a photo file holds: an image, the frames of an animation, or the pages of a TIFF file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from revisage.images import Photo
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.tracking.faces import restored_frames
from revisage.types import FaceStatus, Image, Restoration, RestoredFace


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A frame of an animation, and when it is shown."""

    image: Image
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class RestoredPhoto:
    """A restored photo.

    Attributes:
        photo: what was read; its pixels are gone.
        results: one a frame or page.
        tracks: people that were restored, followed through the frames of an animation; 0 for anything else.
    """

    photo: Photo
    results: Sequence[Restoration]
    tracks: int = 0

    @property
    def faces(self) -> list[RestoredFace]:
        """Those of all frames and pages."""
        return [face for result in self.results for face in result.faces]


def restore_photo(restorer: Restorer, photo: Photo, controls: Controls) -> RestoredPhoto:
    """Restore a photo; the faces of an animation are tracked and averaged over time, as those of videos are.

    Args:
        restorer: restores.
        photo: as ``images.read_photo`` returns it.
        controls: resolved.
    """
    emptied = Photo((), photo.seconds, photo.profile, photo.warnings)
    if not photo.seconds or controls.aligned:
        profiles = [photo.profile] * len(photo.frames)
        return RestoredPhoto(emptied, restorer.restore(photo.frames, controls, profiles=profiles))
    moments = [Moment(*pair) for pair in zip(photo.frames, photo.seconds, strict=True)]
    results: list[Restoration] = []
    people: set[int] = set()
    for frame in restored_frames(moments, restorer, controls, profile=photo.profile):
        numbered = zip(frame.tracked.faces, frame.restoration.faces, strict=True)
        people |= {number for number, face in numbered if face.status is FaceStatus.RESTORED}
        results.append(frame.restoration)
    return RestoredPhoto(emptied, results, len(people))
