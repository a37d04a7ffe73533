"""Match the faces of a frame to those of the frames before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from revisage.boxes import iou
from revisage.images.pixels import to_float
from revisage.types import Array, Face, Image

MAX_GAP = 4
"""Frames that a face may be missed and still be the same one."""
MIN_OVERLAP = 0.3
"""Intersection over union of the boxes, from which two detections may be of one face."""
CUT = 0.12
"""Mean change of the thumbnails, of 1, from which a new scene begins."""
THUMBNAIL = (16, 9)
"""Width and height of what is kept of a frame to detect a cut."""


@dataclass(frozen=True, slots=True)
class Track:
    """A face that is followed.

    Attributes:
        number: unique in the video.
        box: x1, y1, x2, y2 where it was detected last.
        missed: frames since then.
    """

    number: int
    box: tuple[float, float, float, float]
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Tracker:
    """The state of tracking after a frame; can be written as JSON.

    Attributes:
        tracks: the faces that are followed.
        faces: number of faces in the video so far.
        thumbnail: the last frame, tiny, in 8-bit levels of gray; empty before the first.
    """

    tracks: tuple[Track, ...] = ()
    faces: int = 0
    thumbnail: tuple[int, ...] = ()

    def follow(self, image: Image, faces: Sequence[Face]) -> tuple[Tracker, dict[int, Face]]:
        """Take in the next frame and its detections -> (tracker after it, each face under the number of its track)."""
        thumbnail = thumbnail_of(image)
        tracks = () if is_cut(self.thumbnail, thumbnail) else self.tracks
        partner = match([track.box for track in tracks], faces)
        numbered: dict[int, Face] = {}
        fresh = self.faces
        for index, face in enumerate(faces):
            if index in partner:
                numbered[tracks[partner[index]].number] = face
            else:
                numbered[fresh] = face
                fresh += 1
        detected = [Track(number, _four(face.box)) for number, face in numbered.items()]
        missed = [Track(one.number, one.box, one.missed + 1) for one in tracks if one.number not in numbered]
        kept = tuple(detected + [track for track in missed if track.missed <= MAX_GAP])
        return Tracker(kept, fresh, thumbnail), numbered


def match(boxes: Sequence[tuple[float, float, float, float]], faces: Sequence[Face]) -> dict[int, int]:
    """Pair faces with earlier boxes, the largest overlap first -> index in ``faces`` to index in ``boxes``."""
    if not boxes or not faces:
        return {}
    overlaps = iou(np.array([face.box for face in faces]), np.array(boxes, np.float32))
    pairs: dict[int, int] = {}
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        face, box = divmod(int(flat), len(boxes))
        if overlaps[face, box] >= MIN_OVERLAP and face not in pairs and box not in pairs.values():
            pairs[face] = box
    return pairs


def thumbnail_of(image: Image) -> tuple[int, ...]:
    """A frame reduced to ``THUMBNAIL`` levels of gray."""
    small: Array = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return tuple(np.rint(to_float(small).mean(axis=2).ravel() * 255).astype(int).tolist())


def is_cut(before: Sequence[int], after: Sequence[int]) -> bool:
    """Whether a new scene begins between two frames, given their thumbnails."""
    return bool(before) and float(np.abs(np.subtract(before, after)).mean()) > CUT * 255


def _four(box: Array) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = map(float, box)
    return x1, y1, x2, y2
