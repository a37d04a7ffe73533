"""The real detector on photos that break detectors and pastes: crowds, borders, extremes of size, no face."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from portrait import PORTRAIT

import revisage
from revisage import FaceStatus


@pytest.fixture(scope="module")
def restorer():
    """The embedded system with a network that turns faces green: what is pasted can be seen, and costs no time."""

    def green(crops):
        painted = crops.copy()
        painted[:, 1] = 1
        return painted

    return replace(revisage.load("embedded", device="cpu"), network=green)


@pytest.fixture(scope="module")
def portrait():
    return revisage.read_image(PORTRAIT)


def restored(result):
    return [face for face in result.faces if face.status is FaceStatus.RESTORED]


def middle_of(face):
    return (face.box[:2] + face.box[2:]) / 2


def test_sixty_faces(restorer, portrait):
    tile = cv2.resize(portrait[0:230, 110:340], (80, 80), interpolation=cv2.INTER_AREA)
    result = restorer(np.tile(tile, (6, 10, 1)), scale=1)
    # The face stands in the middle of its tile, a little to the left.
    tiles = {(int(x // 80), int(y // 80)) for x, y in map(middle_of, restored(result))}
    assert len(tiles) == 60
    assert all((result.image[40 + 80 * row, 38 + 80 * column, 1] > 250) for column, row in tiles)


@pytest.mark.parametrize("cut", ["left", "right", "top", "bottom"])
def test_a_face_cut_by_the_border(restorer, portrait, cut):
    # The face spans x 175..273, y 46..182: about a fifth of it is cut off.
    rows, columns = {
        "left": (slice(0, 230), slice(193, 380)),
        "right": (slice(0, 230), slice(70, 253)),
        "top": (slice(70, 250), slice(125, 325)),
        "bottom": (slice(0, 158), slice(125, 325)),
    }[cut]
    photo = np.ascontiguousarray(portrait[rows, columns])
    result = restorer(photo, scale=2)
    assert result.image.shape == (photo.shape[0] * 2, photo.shape[1] * 2, 3)
    x, y = np.array([224, 114]) - (columns.start, rows.start)
    (face,) = [face for face in restored(result) if np.hypot(*(middle_of(face) - (x, y))) < 30]
    assert face.restored is not None
    assert result.image[2 * y, 2 * x, 1] > 250


@pytest.mark.parametrize(("dtype", "level"), [(np.uint8, 100), (np.uint16, 25700), (np.float32, 0.4)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (90, 120)])
def test_photos_without_a_face(restorer, shape, dtype, level):
    result = restorer(np.full((*shape, 3), level, dtype), scale=2)
    assert not result.faces
    assert result.image.shape == (shape[0] * 2, shape[1] * 2, 3)
    assert result.image.dtype == dtype


def test_a_face_in_a_photo_twenty_thousand_pixels_wide(restorer, portrait):
    photo = np.zeros((230, 20_000, 3), np.uint8)
    photo[:, -230:] = portrait[0:230, 110:340]
    result = restorer(photo, scale=2)
    assert result.image.shape == (460, 40_000, 3)
    (face,) = restored(result)
    assert np.hypot(*(middle_of(face) - (20_000 - 116, 114))) < 30
    assert result.image[228, 40_000 - 232, 1] > 250
