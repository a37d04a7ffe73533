"""Which face of this frame is which of the frames before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from revisage.boxes import iou
from revisage.images.pixels import to_float
from revisage.types import Array, Face, Image

GAP = 4
"""Frames that a face may go unseen and still be the same one."""
OVERLAP = 0.3
"""Intersection over union of the boxes, from which two sightings may be of one face."""
CUT = 0.12
"""Mean change of the glimpses, of 1, from which a new scene begins."""
GLIMPSE = (16, 9)
"""Width and height of what is kept of a frame to notice a cut."""


@dataclass(frozen=True, slots=True)
class Track:
    """A face that is being followed.

    Attributes:
        number: its name; no other face of the film has it.
        box: x1, y1, x2, y2 where it was last seen.
        unseen: frames since then.
    """

    number: int
    box: tuple[float, float, float, float]
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Tracker:
    """What has to be known of a film so far to go on following its faces; all of it can be written as JSON.

    Attributes:
        tracks: the faces being followed.
        faces: how many there were in the film so far.
        glimpse: the last frame, tiny, in 8-bit levels of gray; empty before the first.
    """

    tracks: tuple[Track, ...] = ()
    faces: int = 0
    glimpse: tuple[int, ...] = ()

    def follow(self, picture: Image, faces: Sequence[Face]) -> tuple[Tracker, dict[int, Face]]:
        """Take in the next frame.

        Args:
            picture: the frame.
            faces: what was detected in it.

        Returns:
            the tracker after this frame, and each face under the number of its track.
        """
        glimpse = glimpse_of(picture)
        tracks = () if is_cut(self.glimpse, glimpse) else self.tracks
        partner = match([track.box for track in tracks], faces)
        followed: dict[int, Face] = {}
        fresh = self.faces
        for place, face in enumerate(faces):
            if place in partner:
                followed[tracks[partner[place]].number] = face
            else:
                followed[fresh] = face
                fresh += 1
        seen = [Track(number, _four(face.box)) for number, face in followed.items()]
        lost = [Track(one.number, one.box, one.unseen + 1) for one in tracks if one.number not in followed]
        kept = tuple(seen + [track for track in lost if track.unseen <= GAP])
        return Tracker(kept, fresh, glimpse), followed


def match(boxes: Sequence[tuple[float, float, float, float]], faces: Sequence[Face]) -> dict[int, int]:
    """Pair faces with earlier boxes, the largest overlap first -> place in ``faces`` to place in ``boxes``."""
    if not boxes or not faces:
        return {}
    overlaps = iou(np.array([face.box for face in faces]), np.array(boxes, np.float32))
    pairs: dict[int, int] = {}
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        face, box = divmod(int(flat), len(boxes))
        if overlaps[face, box] >= OVERLAP and face not in pairs and box not in pairs.values():
            pairs[face] = box
    return pairs


def glimpse_of(picture: Image) -> tuple[int, ...]:
    """A frame reduced to ``GLIMPSE`` levels of gray."""
    small: Array = cv2.resize(picture, GLIMPSE, interpolation=cv2.INTER_AREA)
    return tuple(np.rint(to_float(small).mean(axis=2).ravel() * 255).astype(int).tolist())


def is_cut(before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether a new scene begins between two frames, seen as glimpses."""
    return bool(before) and float(np.abs(np.subtract(before, after)).mean()) > CUT * 255


def _four(box: Array) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = map(float, box)
    return x1, y1, x2, y2
