"""From pairs of pictures to rows of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError, RevisageError
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.metrics.landmarks import FindLandmarks
from revisage.evaluation.pairs import Pair
from revisage.images import read_image
from revisage.images.pixels import from_float, to_float
from revisage.restore.pipeline import Restorer
from revisage.types import Array, Face, FaceStatus, Image

Figures: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The figures of one face, and the pictures (S, S, 3) uint8 that they were taken from.

    Attributes:
        pair: which one.
        restored: figures of the restoration.
        input: figures of the degraded picture, enlarged; None if there is none.
        pictures: degraded (or None), restored, original.
    """

    pair: Pair
    restored: Figures
    input: Figures | None
    pictures: tuple[RGB8 | None, RGB8, RGB8]


def examine(
    pairs: Iterable[Pair], restore: Callable[[Image], RGB8] | None, score: Callable[[RGB8, RGB8], Figures]
) -> Iterator[Row]:
    """Restore, or read what was restored, and take the figures.

    Args:
        pairs: what to examine.
        restore: degraded picture of any size -> restored face; not needed where pairs have a restoration.
        score: (restored, gt) -> figures, a :class:`revisage.evaluation.metrics.scores.Scorer`, say.

    Yields:
        A row a pair, as soon as it is settled.

    Raises:
        ImageError: a picture cannot be read.
        InputError: a restoration has another size than its original, or figures cannot be taken. The file is named.
    """
    for pair in pairs:
        gt = eight_bit(read_image(pair.gt))
        lq = None if pair.lq is None else read_image(pair.lq)
        if pair.restored is not None:
            restored = eight_bit(read_image(pair.restored))
        elif restore is not None and lq is not None:
            restored = restore(lq)
        else:
            raise InputError(f"{pair.gt} has neither a restoration nor a degraded picture and a restorer")
        if restored.shape != gt.shape:
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (restored.shape, gt.shape)]
            raise InputError(f"{pair.gt}: the restoration has {sizes[0]} pixels, the original {sizes[1]}")
        enlarged = None if lq is None else resized(lq, gt.shape[1], gt.shape[0])
        try:
            before = None if enlarged is None else score(enlarged, gt)
            row = Row(pair, score(restored, gt), before, (enlarged, restored, gt))
        except InputError as error:
            raise InputError(f"{pair.gt}: {error}") from error
        yield row


def restoring(restorer: Restorer) -> Callable[[Image], RGB8]:
    """A restorer of photos as a function of aligned faces, which raises RevisageError if it restores nothing."""

    def restore(picture: Image) -> RGB8:
        result = restorer(picture, aligned=True)
        (face,) = result.faces
        if face.status is not FaceStatus.RESTORED:
            raise RevisageError(f"{restorer.name} restored nothing: {face.reason}")
        return eight_bit(result.image)

    return restore


def central_landmarks(detect: Callable[[Image], Sequence[Face]]) -> FindLandmarks:
    """A detector as a function: aligned crop -> landmarks of the face nearest to its middle, None without faces."""

    def find(picture: RGB8) -> NDArray[np.floating] | None:
        middle = np.array(picture.shape[1::-1]) / 2
        found = [face.landmarks for face in detect(picture)]
        return min(found, key=lambda points: float(np.linalg.norm(points.mean(axis=0) - middle)), default=None)

    return find


def eight_bit(picture: Image) -> RGB8:
    """A picture of any depth in uint8, rounded."""
    return np.asarray(picture if picture.dtype == np.uint8 else from_float(to_float(picture), np.uint8), np.uint8)


def resized(picture: Image, width: int, height: int) -> RGB8:
    """Bilinear, pixel centres half a pixel in, rounded to uint8: what a degraded picture is compared as."""
    scaled: Array = cv2.resize(to_float(picture), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(from_float(scaled, np.uint8), np.uint8)
