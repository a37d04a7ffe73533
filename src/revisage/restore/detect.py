"""Find the faces of a photo: choose working sizes, propose, merge, then look again at each face closely.

The network comes in as a function, so that this module knows neither weights nor tensors::

    propose(pictures) -> boxes, scores, landmarks

    pictures    (N, H, W, 3) uint8 RGB, N equally large pictures of any size
    boxes       (N, A, 4) float32 x1, y1, x2, y2 in pixels of those pictures
    scores      (N, A) float32 in [0, 1]
    landmarks   (N, A, 5, 2) float32, likewise; image-left eye first

with one entry an anchor, before any selection. :class:`Detector` turns it into ``detect(image) -> list[Face]``.

The network knows upright faces only. Faces that lie or stand on their heads are found by showing it the photo turned
by 90, 180 and 270 degrees, smaller. In the face's own view the first eye is the left one; in the photo it need not be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from revisage.boxes import iou
from revisage.restore.candidates import (
    Candidates,
    concatenated,
    plausible,
    suppressed,
    turned_back,
    without_nested,
    without_ornaments,
)
from revisage.restore.refine import Propose, look_again, resized
from revisage.types import Face, Image

TURNS = (1, 2, 3)
"""Quarter turns by which a photo is shown again."""


@dataclass(frozen=True)
class Detector:
    """Detects faces. Remembers nothing between calls; any number of threads may share one if ``propose`` allows it.

    Attributes:
        propose: the network as a function, see the head of this module.
        threshold: score that a face needs in the end.
        hint: score from which a place is worth a close look.
        most: close looks at no more than this many places, the likeliest ones; bounds the time.
        pixels: largest area of a working picture; bounds memory and time for photos of any size.
        enlarge: largest enlargement of a small photo (anchors start at 16 pixels, faces worth finding at half of that).
        smallest: width in pixels of the photo below which a face is not reported.
        looks: widths in pixels that a face has when it is looked at again.
        sure: score of a face that makes it pointless to look for a turned one in its place.
        turned: sides of the turned pictures over those of the largest upright one: first where upright faces were
            found, which costs an eighth more time; then where none was.
        turned_hint: as ``hint``, in turned pictures.
        turned_threshold: as ``threshold``, for turned faces. They are rare: it takes more to believe in one.
    """

    propose: Propose
    threshold: float = 0.58
    hint: float = 0.1
    most: int = 400
    pixels: int = 2_000_000
    enlarge: float = 2.0
    smallest: float = 6.0
    looks: tuple[float, ...] = (80.0, 100.0)
    sure: float = 0.8
    turned: tuple[float, float] = (0.2, 0.5)
    turned_hint: float = 0.3
    turned_threshold: float = 0.87

    def __call__(self, image: Image) -> list[Face]:
        """Faces of one photo, best score first.

        Args:
            image: (H, W, 3) RGB, uint8, uint16 or float32 in [0, 1], of any size.

        Returns:
            Faces in pixels of ``image``; their middle lies in it, but boxes and landmarks may reach beyond its border.
        """
        scales = working_scales(image, self.pixels, self.enlarge)
        upright = self._seen(image, concatenated([self._search(image, scale) for scale in scales]), self.hint)
        turned = self._turned(image, upright, scales[0])
        seen = without_ornaments(without_nested(suppressed(concatenated([upright, turned]))))
        height, width = image.shape[:2]
        centres = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2
        good = (
            (seen.scores >= self.threshold)
            & (seen.boxes[:, 2] - seen.boxes[:, 0] >= self.smallest)
            & plausible(seen)
            & (centres >= -0.5).all(axis=1)
            & (centres < (width - 0.5, height - 0.5)).all(axis=1)
        )
        seen = seen[good]
        return [Face(*face) for face in zip(seen.boxes, seen.landmarks, seen.scores.tolist(), strict=True)]

    def _turned(self, image: Image, upright: Candidates, fine: float) -> Candidates:
        """Faces that are not upright and not in the place of one that surely is.

        Without any upright face the search is closer. Without a sure one it is likely that the whole photo lies: then
        the turn in which the likeliest face was found, if any, is searched as finely as the upright photo.
        """
        sure = upright[upright.scores >= self.sure]
        scale = fine * self.turned[0 if upright.scores.max(initial=0) >= self.threshold else 1]
        found = {turn: self._search(image, scale, turn) for turn in TURNS}
        best = max(TURNS, key=lambda turn: found[turn].scores.max(initial=0))
        if not len(sure) and found[best].scores.max(initial=0) >= self.turned_hint:
            found[best] = concatenated([found[best], self._search(image, fine, best)])
        proposed = concatenated(list(found.values()))
        proposed = proposed[iou(proposed.boxes, sure.boxes).max(axis=1, initial=0) < 0.2]
        seen = self._seen(image, proposed, self.turned_hint)
        return seen[seen.scores >= self.turned_threshold]

    def _seen(self, image: Image, proposed: Candidates, hint: float) -> Candidates:
        """What close looks make of the likely ones of the proposed faces."""
        hinted = without_nested(suppressed(proposed[proposed.scores >= hint]))[: self.most]
        return look_again(self.propose, image, hinted, self.looks)

    def _search(self, image: Image, scale: float, turn: int = 0) -> Candidates:
        """What the network sees in the whole photo at one size, turned to the left by so many quarters."""
        picture = resized(image, scale)
        boxes, scores, landmarks = (output[0] for output in self.propose(np.rot90(picture, turn).copy()[None]))
        likely = scores >= self.hint
        found = turned_back(Candidates(boxes[likely], scores[likely], landmarks[likely]), turn, picture.shape)
        # Between the pixel centres of the two pictures; sizes are whole numbers, hence a ratio for each axis.
        ratio = np.array(image.shape[1::-1], np.float32) / np.array(picture.shape[1::-1], np.float32)
        found.boxes[:] = (found.boxes + 0.5) * np.tile(ratio, 2) - 0.5
        found.landmarks[:] = (found.landmarks + 0.5) * ratio - 0.5
        return found


def working_scales(image: Image, pixels: int, enlarge: float) -> list[float]:
    """Sizes at which to search: one for small faces, and a small one for faces that fill the photo.

    The fine size enlarges small photos by up to ``enlarge`` and keeps the area below ``pixels``.
    """
    height, width = image.shape[:2]
    fine = min(enlarge, float(np.sqrt(pixels / (height * width))))
    coarse = 320 / max(height, width)
    return [fine, coarse] if coarse < 0.7 * fine else [fine]
