"""Face detection: choose working sizes, propose, merge, then refine each face.

The network is a function, so this module knows neither weights nor tensors::

    propose(images) -> boxes, scores, landmarks

    images      (N, H, W, 3) uint8 RGB, N images of equal, arbitrary size
    boxes       (N, A, 4) float32 x1, y1, x2, y2 in pixels of those images
    scores      (N, A) float32 in [0, 1]
    landmarks   (N, A, 5, 2) float32 in pixels of those images; image-left eye first

with one entry per anchor, before any selection. :class:`Detector` turns it into ``detect(image) -> list[Face]``.

The network detects upright faces only. Faces that lie or are upside down are found in smaller copies of the image
rotated by 90, 180 and 270 degrees. Their first eye is the left one in the upright face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from revisage.boxes import iou
from revisage.restore.candidates import (
    Candidates,
    concatenate,
    drop_body_false_positives,
    drop_nested,
    has_valid_landmarks,
    nms,
    unrotate,
)
from revisage.restore.inputs import as_image
from revisage.restore.refine import Propose, refine_detections, resize_to_uint8
from revisage.types import Face, Image

if TYPE_CHECKING:
    import PIL.Image

QUARTER_TURNS = (1, 2, 3)
"""Rotations to the left in which an image is searched again."""


@dataclass(frozen=True)
class Detector:
    """Face detector. Stateless; any number of threads may share one if ``propose`` allows it.

    Attributes:
        propose: the network as a function, see the head of this module.
        threshold: minimum score of a face in the result.
        proposal_threshold: minimum score of a candidate that is refined.
        max_proposals: candidates that are refined, best first; bounds the time.
        max_pixels: largest area of a working image; bounds memory and time for images of any size.
        max_upscale: largest enlargement of a small image (anchors begin at 16 pixels, useful faces at half of that).
        min_width: minimum width of a face in pixels of the image.
        refine_sizes: face widths in pixels at which candidates are refined.
        confident_threshold: score of a face that ends the search for a rotated one in the same place.
        rotated_scales: size of the rotated images, relative to the largest upright one: where upright faces were found
            (costs an eighth more time), and where none was.
        rotated_proposal_threshold: ``proposal_threshold`` for rotated images.
        rotated_threshold: ``threshold`` for rotated faces; higher, because they are rare.
    """

    propose: Propose
    threshold: float = 0.58
    proposal_threshold: float = 0.1
    max_proposals: int = 400
    max_pixels: int = 2_000_000
    max_upscale: float = 2.0
    min_width: float = 6.0
    refine_sizes: tuple[float, ...] = (80.0, 100.0)
    confident_threshold: float = 0.8
    rotated_scales: tuple[float, float] = (0.2, 0.5)
    rotated_proposal_threshold: float = 0.3
    rotated_threshold: float = 0.87

    def __call__(self, image: Image | PIL.Image.Image) -> list[Face]:
        """Detect the faces of one image, as a restorer takes it, of any size; best score first.

        Faces are in pixels of the upright image. Their centers lie inside it; boxes and landmarks may reach beyond its
        border.
        """
        image = as_image(image)
        scales = working_scales(image, self.max_pixels, self.max_upscale)
        searched = concatenate([self._search(image, scale) for scale in scales])
        upright = self._refine(image, searched, self.proposal_threshold)
        rotated = self._search_rotated(image, upright, scales[0])
        found = drop_body_false_positives(drop_nested(nms(concatenate([upright, rotated]))))
        height, width = image.shape[:2]
        centers = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        good = (
            (found.scores >= self.threshold)
            & (found.boxes[:, 2] - found.boxes[:, 0] >= self.min_width)
            & has_valid_landmarks(found)
            & (centers >= -0.5).all(axis=1)
            & (centers < (width - 0.5, height - 0.5)).all(axis=1)
        )
        found = found[good]
        return [Face(*face) for face in zip(found.boxes, found.landmarks, found.scores.tolist(), strict=True)]

    def _search_rotated(self, image: Image, upright: Candidates, fine: float) -> Candidates:
        """Faces that are not upright, away from confident upright ones.

        The search is finer if there is no upright face. Without a confident one the whole image is probably rotated:
        then the rotation with the best candidate, if any, is searched as finely as the upright image.
        """
        confident = upright[upright.scores >= self.confident_threshold]
        scale = fine * self.rotated_scales[0 if upright.scores.max(initial=0) >= self.threshold else 1]
        found = {turns: self._search(image, scale, turns) for turns in QUARTER_TURNS}
        best = max(QUARTER_TURNS, key=lambda turns: found[turns].scores.max(initial=0))
        if not len(confident) and found[best].scores.max(initial=0) >= self.rotated_proposal_threshold:
            found[best] = concatenate([found[best], self._search(image, fine, best)])
        proposed = concatenate(list(found.values()))
        proposed = proposed[iou(proposed.boxes, confident.boxes).max(axis=1, initial=0) < 0.2]
        refined = self._refine(image, proposed, self.rotated_proposal_threshold)
        return refined[refined.scores >= self.rotated_threshold]

    def _refine(self, image: Image, proposed: Candidates, threshold: float) -> Candidates:
        """The proposals above a threshold, without duplicates, refined."""
        likely = drop_nested(nms(proposed[proposed.scores >= threshold]))[: self.max_proposals]
        return refine_detections(self.propose, image, likely, self.refine_sizes)

    def _search(self, image: Image, scale: float, quarter_turns: int = 0) -> Candidates:
        """Proposals in the whole image at one scale, rotated to the left."""
        scaled = resize_to_uint8(image, scale)
        rotated = np.rot90(scaled, quarter_turns).copy()
        boxes, scores, landmarks = (output[0] for output in self.propose(rotated[None]))
        likely = scores >= self.proposal_threshold
        found = unrotate(Candidates(boxes[likely], scores[likely], landmarks[likely]), quarter_turns, scaled.shape)
        # Between the pixel centers of the two images; sizes are whole numbers, hence a ratio for each axis.
        ratio = np.array(image.shape[1::-1], np.float32) / np.array(scaled.shape[1::-1], np.float32)
        found.boxes[:] = (found.boxes + 0.5) * np.tile(ratio, 2) - 0.5
        found.landmarks[:] = (found.landmarks + 0.5) * ratio - 0.5
        return found


def working_scales(image: Image, max_pixels: int, max_upscale: float) -> list[float]:
    """Scales at which to search: a fine one for small faces, and a coarse one for faces that fill the image.

    The fine scale enlarges small images by up to ``max_upscale`` and keeps the area below ``max_pixels``.
    """
    height, width = image.shape[:2]
    fine = min(max_upscale, float(np.sqrt(max_pixels / (height * width))))
    coarse = 320 / max(height, width)
    return [fine, coarse] if coarse < 0.7 * fine else [fine]
