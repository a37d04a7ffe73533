"""Hard spots: places in photos that are no face and strike the eye, or that a network took for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from revisage.training.embedded.scenes.labelled_photos import Floats, LabelledPhoto

Spot = tuple[LabelledPhoto, float, float, float]
"""A photo, x and y in it, and a size, all in pixels of the photo."""


class HardSpots:
    """The salient spots of photos and, as often as all of them together, known mistakes.

    Args:
        photos: where to look.
        mistakes: name of a photo -> (K, 4) boxes in it that a network wrongly took for faces.
    """

    def __init__(self, photos: Sequence[LabelledPhoto], mistakes: Mapping[str, Floats]) -> None:
        self._salient: list[Spot] = [(photo, *spot) for photo in photos for spot in salient_spots(photo).tolist()]
        self._mistakes: list[Spot] = [
            (photo, float(x1 + x2) / 2, float(y1 + y2) / 2, float(y2 - y1))
            for photo in photos
            for x1, y1, x2, y2 in mistakes.get(photo.name, np.zeros((0, 4)))
        ]

    def __bool__(self) -> bool:
        return bool(self._salient)

    def any(self, rng: np.random.Generator) -> Spot:
        """One of them."""
        spots = self._mistakes if self._mistakes and rng.random() < 0.5 else self._salient
        return spots[int(rng.integers(len(spots)))]


def salient_spots(photo: LabelledPhoto, count: int = 3) -> Floats:
    """(K, 3) x, y and size of blobs, bright or dark, outside the faces: ``count`` of each of four sizes.

    Peaks of the determinant of the Hessian (Lindeberg 1998, doi 10.1023/A:1008045108935), found at half resolution.
    """
    small = photo.pyramid[min(1, len(photo.pyramid) - 1)]
    ratio = photo.pixels.shape[1] / small.shape[1]
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    spots: list[tuple[float, float, float]] = []
    for sigma in (1.5, 2.5, 4.0, 6.0):
        smooth = cv2.GaussianBlur(gray, (0, 0), sigma)
        xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
        response = np.asarray(xx * yy - xy * xy, np.float32)
        for x1, y1, x2, y2 in np.rint(np.maximum(photo.boxes / ratio, 0)).astype(int).tolist():
            response[y1:y2, x1:x2] = 0
        for _ in range(count):
            y, x = np.unravel_index(int(response.argmax()), response.shape)
            reach = int(6 * sigma)
            response[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach] = 0
            spots.append((float(x) * ratio, float(y) * ratio, 3 * sigma * ratio))
    return np.array(spots, np.float32)
