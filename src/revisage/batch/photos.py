"""Restore everything that a photo file holds: an image, the frames of an animation, or the pages of a TIFF file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from revisage.batch.options import Options
from revisage.errors import OutputError
from revisage.images import Photo, read_photo
from revisage.images.fitting import find_misfit
from revisage.images.write import find_left_out
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
        tracks: people that were restored, followed through the frames of an animation; 0 for anything else.
        people: of an animation, the numbers of the faces of each frame.
    """

    photo: Photo
    results: Sequence[Restoration]
    tracks: int = 0
    people: Sequence[Sequence[int]] = ()

    @property
    def faces(self) -> list[RestoredFace]:
        """Those of all frames and pages."""
        return [face for result in self.results for face in result.faces]

    def without_crops(self) -> RestoredPhoto:
        """The same without the pixels of its faces."""

        def bare(face: RestoredFace) -> RestoredFace:
            return replace(face, crop=None, restored=None)

        return replace(self, results=[replace(one, faces=list(map(bare, one.faces))) for one in self.results])

    @property
    def numbers(self) -> tuple[tuple[int, int], ...]:
        """Frame or page, and number, of each of ``faces``, if there are several frames or pages; else empty."""
        if len(self.results) < 2:
            return ()
        numbers = self.people or [range(len(result.faces)) for result in self.results]
        return tuple((frame, number) for frame, these in enumerate(numbers) for number in these)


def read_checked(path: Path, target: Path, options: Options) -> Photo:
    """Read a photo (ImageError), and find out before it is restored whether its result can be written.

    OutputError: its format cannot hold it; or it would lack something, and that must not be.
    """
    photo = read_photo(path, max_pixels=options.max_pixels, allow_damaged=options.allow_damaged)
    scale = 0 if options.controls.aligned else options.controls.scale
    if misfit := find_misfit(photo, target.suffix, scale):
        raise OutputError(f"cannot write {target}: {misfit}")
    if options.strict and (missing := find_left_out(path, target.suffix)):
        raise OutputError(f"cannot write {target}: it would lack {', '.join(missing)}")
    return photo


def restore_photo(restorer: Restorer, photo: Photo, controls: Controls) -> RestoredPhoto:
    """Restore a photo; the faces of an animation are tracked and averaged over time, as those of videos are."""
    if not photo.seconds or controls.aligned:
        return restore_still(restorer, [photo], controls)[0]
    frames = (restorer.repair(frame, controls) for frame in photo.frames)
    moments = [Moment(*pair) for pair in zip(frames, photo.seconds, strict=True)]
    results: list[Restoration] = []
    restored: set[int] = set()
    people: list[list[int]] = []
    for frame in restored_frames(moments, restorer, controls, profile=photo.profile):
        numbered = zip(frame.tracked.faces, frame.restoration.faces, strict=True)
        restored |= {number for number, face in numbered if face.status is FaceStatus.RESTORED}
        people.append(list(frame.tracked.faces))
        results.append(frame.restoration)
    return RestoredPhoto(replace(photo, frames=()), results, len(restored), people)


def restore_still(restorer: Restorer, photos: Sequence[Photo], controls: Controls) -> list[RestoredPhoto]:
    """Restore photos together, frame by frame: the faces of all of them share the batches of the network."""
    frames = [frame for photo in photos for frame in photo.frames]
    profiles = [photo.profile for photo in photos for _ in photo.frames]
    results = iter(restorer.restore(frames, controls, profiles=profiles))
    return [RestoredPhoto(replace(photo, frames=()), [next(results) for _ in photo.frames]) for photo in photos]
